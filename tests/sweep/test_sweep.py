"""Sweeps: definitions, plans, costs, and running what is missing whatever becomes of single runs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from robench.errors import PluginError, SpecError
from robench.records.record import RunResult
from robench.records.store import Store
from robench.registry.registry import Registry, discover
from robench.run.plan import Request
from robench.run.runner import run as real_run
from robench.run.status import StatusFile, running
from robench.storage.location import Location, local_folder, parse_location
from robench.storage.shared_folder import SharedFolder
from robench.sweep import local as sweep_run
from robench.sweep.adversarial_sets import sets_of
from robench.sweep.claims import claimed
from robench.sweep.cost import adversarial_images, cost_grid, duration, estimate, sweep_cost
from robench.sweep.local import Bench, carry_out, run_sweep
from robench.sweep.plan import Job, latest_completed, plan_sweep, read_sweep

from tests.conftest import entry_point, registry_of
from tests.helpers import results, toy

TOY = """
title = "Dots"
seeds = [0, 1]
[common]
dataset = "dots"
attacks = ["sign-linear", "sign:n=10"]
train_size = 30
test_size = 40
[[rows]]
name = "none"
tuner = "none"
[[rows]]
name = "bias"
tuner = "bias"
epochs = 3
published = { clean = 90.5 }
"""
BROKEN = '[[rows]]\nname = "broken"\nmodel = "linear:broken=true"\n'

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "sweep.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(results=tmp_path / "results", cache_dir=tmp_path / "cache", device="cpu")


def planned(registry: Registry, path: Path) -> list[Job]:
    return plan_sweep(registry, read_sweep(path))


def missing(jobs: list[Job], bench: Bench) -> list[Job]:
    store = Store(bench.results)
    return [job for job in jobs if store.completed(job.run_id) is None]


def silent(line: str) -> None:
    pass


def test_a_row_inherits_what_is_common_and_wins_over_it(registry: Registry, write: Write) -> None:
    jobs = planned(registry, write(TOY.replace("epochs = 3", "epochs = 3\ntest_size = 20")))
    # Seed by seed, so that an unfinished sweep is a whole table of few seeds.
    assert [(job.row, job.seed) for job in jobs] == [("none", 0), ("bias", 0), ("none", 1), ("bias", 1)]
    assert [job.request.test_size for job in jobs] == [40, 20, 40, 20]
    assert [attack.n for attack in jobs[1].plan.spec.attacks] == [20, 10]
    assert jobs[1].plan.spec.tuner.params["epochs"] == 3 and jobs[1].plan.spec.train_size == 30
    assert len({job.run_id for job in jobs}) == 4


def test_every_setting_of_a_request_but_the_seed_is_a_key(write: Write) -> None:
    for field in fields(Request):
        text = f'title = "x"\n[common]\n{field.name} = {{}}\n[[rows]]\nname = "a"\n'
        with pytest.raises(SpecError) as caught:
            read_sweep(write(text))
        assert ("unknown key" in str(caught.value)) == (field.name == "seed"), field.name


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "Dots"', 'title = "Dots', "not TOML"),
        ('title = "Dots"', "", "title: Field required"),
        ('title = "Dots"', 'titel = "Dots"', "unknown key 'titel'; did you mean 'title'?"),
        ("test_size = 40", "test_sise = 40", "common: unknown key 'test_sise'; did you mean 'test_size'?"),
        ("epochs = 3", "epoch = 3", "row 'bias': unknown key 'epoch'; did you mean 'epochs'?"),
        ("epochs = 3", "epochs = 1.5", "row 'bias': epochs: "),
        ("test_size = 40", 'checks = "off"', "common: 'checks' does not decide figures; expected --checks on the"),
        ("epochs = 3", "seed = 3", "row 'bias': unknown key 'seed'"),
        ('attacks = ["sign-linear", "sign:n=10"]', 'attacks = "sign"', "common: attacks: "),
        ('name = "bias"\n', "", "row 2: name: Field required"),
        ('name = "bias"', 'name = "none"', "row name 'none' is given twice"),
        ("seeds = [0, 1]", "seeds = [1, 1]", "seed 1 is given twice"),
        ("seeds = [0, 1]", "seeds = [-1]", "seeds.0: "),
        ("seeds = [0, 1]", "seeds = []", "seeds: "),
        ("clean = 90.5", "clean = 100.5", "row 'bias': published.clean: "),
        ("clean = 90.5", "clean = -0.5", "row 'bias': published.clean: "),
        ("clean = 90.5", "claen = 90.5", "unknown key 'published.claen'; did you mean 'clean'?"),
    ],
)
def test_a_damaged_definition_is_one_line_that_names_file_and_row(write: Write, old: str, new: str, said: str) -> None:
    assert TOY.count(old) == 1
    path = write(TOY.replace(old, new))
    with pytest.raises(SpecError) as caught:
        read_sweep(path)
    message = str(caught.value)
    assert said in message and str(path) in message and "\n" not in message


def test_a_missing_definition_and_one_without_rows_are_errors(tmp_path: Path, write: Write) -> None:
    with pytest.raises(SpecError, match="does not exist"):
        read_sweep(tmp_path / "none.toml")
    with pytest.raises(SpecError, match="rows: Field required"):
        read_sweep(write('title = "x"'))


def test_one_bad_row_stops_the_plan_and_is_named(registry: Registry, write: Write) -> None:
    with pytest.raises(SpecError, match=r"sweep\.toml: row 'bias': unknown tuner 'bais'; did you mean 'bias'\?"):
        planned(registry, write(TOY.replace('tuner = "bias"', 'tuner = "bais"')))
    with pytest.raises(SpecError, match="row 'none': tuner 'none' has no parameter 'lr'"):
        planned(registry, write(TOY.replace('tuner = "none"', 'tuner = "none:lr=1"')))


def test_two_rows_that_are_one_run_are_an_error(registry: Registry, write: Write) -> None:
    twin = '[[rows]]\nname = "bias again"\ntuner = "bias:epochs=3"\n'
    with pytest.raises(SpecError, match="row 'bias again' is the same run as row 'bias'"):
        planned(registry, write(TOY + twin))


@pytest.mark.parametrize("name", ["leaf-synth", "cifar10-clip-tiny", "cifar10-clip"])
def test_the_shipped_definitions_plan_with_the_real_components(root: Path, name: str) -> None:
    sweep = read_sweep(root / "benchmarks" / f"{name}.toml")
    jobs = plan_sweep(discover(), sweep)
    assert len(jobs) == len(sweep.rows) * 3 and sweep.seeds == (0, 1, 2)
    knowledge = {attack.threat().knowledge for attack in jobs[0].plan.attacks}
    assert knowledge == {"transfer", "white-box"}
    for job in jobs:
        trained = job.plan.spec.train_size is not None
        assert trained == (job.plan.tuner.name != "none")
        if name.startswith("cifar10") and trained:  # the study trains on images made on the published network
            assert job.plan.adversary is not None and job.plan.adversary.surrogate is not None
            assert job.plan.adversary.surrogate.values()["weights"] == "published"
            assert job.plan.adversary.threat().eps == Fraction(8, 255)


def test_both_cifar10_definitions_have_the_rows_of_the_study(root: Path) -> None:
    large, small = (read_sweep(root / f"benchmarks/{name}.toml") for name in ("cifar10-clip", "cifar10-clip-tiny"))
    assert large.rows[0].published.clean == 87.83 and len(large.rows) == 9
    assert [(row.name, row.settings["tuner"], row.published) for row in large.rows] == [
        (row.name, row.settings["tuner"], row.published) for row in small.rows
    ]


def test_a_sweep_runs_what_is_missing_and_nothing_twice(
    registry: Registry, write: Write, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = planned(registry, write(TOY))
    ran: list[str] = []

    def counted(*arguments: object, **more: object) -> RunResult:
        ran.append(arguments[1].spec.run_id())  # type: ignore[attr-defined]
        return real_run(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep_run, "run", counted)
    run_sweep(jobs[:2], bench, registry=registry, report=silent)
    assert ran == [job.run_id for job in jobs[:2]]
    assert missing(jobs, bench) == jobs[2:]
    # Even when told to run all, as when another sweep has recorded a run meanwhile.
    lines: list[str] = []
    outcomes = run_sweep(jobs, bench, registry=registry, report=lines.append)
    assert ran == [job.run_id for job in jobs] and missing(jobs, bench) == []
    assert [outcome.result and outcome.result.run_id for outcome in outcomes] == ran
    assert len(lines) == 4 and lines[0].startswith("[1/4] none, seed 0: clean 100.0, adversarial ")
    assert lines[-1].endswith("; 0:00:00 left")


def test_results_do_not_depend_on_the_order_of_runs(registry: Registry, write: Write, tmp_path: Path) -> None:
    jobs = planned(registry, write(TOY))
    found = []
    for name, ordered in (("forth", jobs), ("back", jobs[::-1])):
        bench = Bench(results=tmp_path / name, cache_dir=tmp_path / f"cache-{name}", device="cpu")
        run_sweep(ordered, bench, registry=registry, report=silent)
        records = latest_completed(Store(bench.results).read(silent))
        found.append(
            {
                run_id: (record.clean, [(score.images, score.bits) for score in record.attacks], record.data)
                for run_id, record in records.items()
            }
        )
    assert found[0] == found[1] and len(found[0]) == 4


def test_a_failed_run_is_recorded_and_reported_and_the_rest_goes_on(
    registry: Registry, write: Write, bench: Bench
) -> None:
    jobs = planned(registry, write(TOY.replace('[[rows]]\nname = "bias"', BROKEN + '[[rows]]\nname = "bias"')))
    lines: list[str] = []
    outcomes = run_sweep(jobs, bench, registry=registry, report=lines.append)
    assert [(outcome.row, outcome.result is None) for outcome in outcomes] == [
        ("none", False),
        ("broken", True),
        ("bias", False),
    ] * 2
    assert outcomes[1].error.startswith(PluginError.__name__) and "\n" not in outcomes[1].error
    assert "[2/6] broken, seed 0: failed: PluginError: " in lines[1]
    statuses = [record.status for record in Store(bench.results).read(silent)]
    assert sorted(statuses) == ["completed"] * 4 + ["failed"] * 2
    assert [job.row for job in missing(jobs, bench)] == ["broken", "broken"]  # to be tried again


def test_ctrl_c_stops_after_saving_and_the_next_call_goes_on(
    registry: Registry, write: Write, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = planned(registry, write(TOY))

    def interrupted(self: toy.Bias, task: object) -> list[dict[str, float]]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(toy.Bias, "fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(jobs, bench, registry=registry, report=silent)
    records = Store(bench.results).read(silent)
    assert sorted(record.status for record in records) == ["completed", "interrupted"]
    rest = missing(jobs, bench)
    assert rest == jobs[1:]
    run_sweep(rest, bench, registry=registry, report=silent)
    assert missing(jobs, bench) == []


def toy_work(request: Request, bench: Bench, threads: int) -> RunResult:
    """What a process of its own does in tests: toy runs, of which that with gain 7 takes its process down."""
    (bench.results / f"process-{os.getpid()}").touch()
    if request.model == "linear:gain=7":
        os._exit(1)
    return carry_out(registry_of(entry_point("toy", toy.__name__, "toy-dist")), request, bench)


@pytest.mark.slow
def test_processes_side_by_side_survive_the_death_of_one(registry: Registry, write: Write, bench: Bench) -> None:
    jobs = planned(registry, write(TOY + '[[rows]]\nname = "deadly"\nmodel = "linear:gain=7"\n'))
    outcomes = run_sweep(jobs, bench, registry=registry, processes=2, report=silent, work=toy_work)
    assert len(outcomes) == 6
    # Two processes carry out all runs, and each of the two that die is replaced.
    assert len(list(bench.results.glob("process-*"))) <= 4
    ended = {outcome.row: outcome for outcome in outcomes if outcome.seed == 0}
    assert ended["none"].result and ended["bias"].result
    assert "its process died" in ended["deadly"].error
    # The same bytes as in this process.
    alone = run_sweep(jobs[:2], replace(bench, results=bench.results / "alone"), registry=registry, report=silent)
    for outcome in alone:
        other = ended[outcome.row].result
        assert outcome.result and other and outcome.result.clean == other.clean
        assert [score.images for score in outcome.result.attacks] == [score.images for score in other.attacks]


@pytest.mark.slow
def test_real_components_run_side_by_side(write: Write, bench: Bench) -> None:
    text = """
title = "leaves"
[common]
dataset = "leaf-synth"
model = "resnet20"
attacks = ["fgsm:n=4"]
test_size = 8
[[rows]]
name = "test"
[[rows]]
name = "validation"
split = "validation"
"""
    registry = discover()
    jobs = planned(registry, write(text))
    under_way: set[str] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            under_way.update(found.run_id for found in running(bench.results))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        outcomes = run_sweep(jobs, bench, registry=registry, processes=2, report=silent)
    finally:
        ended.set()
        watcher.join()
    assert all(outcome.result for outcome in outcomes), [outcome.error for outcome in outcomes]
    assert under_way == {job.run_id for job in jobs} and running(bench.results) == []
    assert missing(jobs, bench) == []
    share = max(1, torch.get_num_threads() // 2)
    assert [outcome.result and outcome.result.provenance.threads for outcome in outcomes] == [share] * 2


def test_costs_are_images_times_epochs_and_each_shared_set_once(registry: Registry, write: Write) -> None:
    jobs = planned(registry, write(TOY))
    costs = sweep_cost(jobs, {})
    assert [cost.training_images for cost in costs] == [0, 30 * 3] * 2
    # Both rows are scored on the surrogate's 40, made once a seed, and on 10 of their own; bias trains on 30 more.
    assert [cost.adversarial_images for cost in costs] == [40 + 10, 10 + 30] * 2
    assert all(cost.seconds is None and not cost.recorded for cost in costs)


def test_white_box_training_makes_its_images_anew_in_every_epoch(registry: Registry, write: Write) -> None:
    jobs = planned(registry, write(TOY.replace('tuner = "bias"', 'tuner = "bias:adversary=sign"')))
    assert sweep_cost(jobs, {})[1].adversarial_images == 10 + 30 * 3


def test_other_datasets_and_validation_while_training_cost_attacks_too(registry: Registry, write: Write) -> None:
    more = 'tuner = "shift+likely:adversary=sign-linear,validate_on=5"\neval_datasets = ["stripes"]'
    jobs = planned(registry, write(TOY.replace('tuner = "bias"', more)))
    assert sweep_cost(jobs[1:2], {})[0].adversarial_images == 2 * (40 + 10) + 30 + 5
    assert sum(n for _, n in adversarial_images(jobs[1].plan)) == 2 * (40 + 10) + 30 + 5


def test_runs_of_one_seed_share_the_sets_that_are_made_on_surrogates(registry: Registry, write: Write) -> None:
    more = 'tuner = "bias"\neval_datasets = ["stripes"]'
    first, second, other_seed, _ = (
        sets_of(job.plan) for job in planned(registry, write(TOY.replace('tuner = "none"', more)))
    )
    shared = [first[key] for key in first if key in second]
    assert [(each.purpose, each.attack.label, each.n) for each in shared] == [
        ("test", "sign-linear", 40),
        ("train", "sign-linear", 30),
    ]
    assert len(first) == len(second) + 2 and not first.keys() & other_seed.keys()


def test_a_recorded_run_costs_nothing_and_the_dry_run_says_so(registry: Registry, write: Write, bench: Bench) -> None:
    path = write(TOY)
    jobs = planned(registry, path)
    run_sweep(jobs[:1], bench, registry=registry, report=silent)
    completed = latest_completed(Store(bench.results).read(silent))
    costs = sweep_cost(jobs, completed)
    assert [cost.recorded for cost in costs] == [True, False, False, False]
    assert (costs[0].training_images, costs[0].adversarial_images, costs[0].seconds) == (0, 0, 0.0)
    grid = cost_grid(read_sweep(path), costs)
    assert grid.title == "Dots: 3 of 4 runs to do"
    seconds = completed[jobs[0].run_id].seconds["total"]
    assert grid.rows == (
        ("none", "recorded", "missing", "0", "50", duration(seconds)),
        # The surrogate's 40 of seed 0 count for the first missing run, which is now this one.
        ("bias", "missing", "missing", "180", "120", duration(2 * seconds)),
        ("to do", "1", "2", "180", "170", duration(3 * seconds)),
    )
    run_sweep(jobs, bench, registry=registry, report=silent)
    grid = cost_grid(read_sweep(path), sweep_cost(jobs, latest_completed(Store(bench.results).read(silent))))
    assert grid.title == "Dots: 0 of 4 runs to do" and {cell for row in grid.rows for cell in row[3:]} == {"-"}


def test_a_run_takes_as_long_as_the_median_of_its_like_else_of_its_model() -> None:
    def timed(seconds: float, **more: object) -> RunResult:
        return results.result(**more).model_copy(update={"seconds": {"total": seconds}})  # type: ignore[arg-type]

    records = [timed(10, seed=1), timed(30, seed=2), timed(80, seed=3), timed(500, tuner="vpt"), timed(900, n=200)]
    assert estimate(results.result(seed=9).spec, records) == 30
    assert estimate(results.result(tuner="tecoa").spec, records) == 80  # of all five
    assert estimate(results.result(tuner="vpt").spec, [*records, timed(1, tuner="vpt", status="failed")]) == 500
    stranger = results.result().spec.model_copy(
        update={"model": results.result().spec.model.model_copy(update={"name": "x"})}
    )
    assert estimate(stranger, records) is None and estimate(stranger, []) is None
    assert (duration(None), duration(95.4), duration(3600)) == ("unknown", "0:01:35", "1:00:00")


WORKERS = """
import os, signal, sys, time
from pathlib import Path
import torch
from robench.storage.location import parse_location
from robench.sweep.plan import plan_sweep, read_sweep
from robench.sweep.local import Bench, run_sweep
from tests.helpers import toy
from tests.conftest import entry_point, registry_of

torch.set_num_threads(1)
folder, results, cache = Path(sys.argv[1]), *map(parse_location, sys.argv[2:])
registry = registry_of(entry_point("toy", toy.__name__, "toy-dist"))
jobs = plan_sweep(registry, read_sweep(folder / "sweep.toml"))
bench = Bench(results=results, cache_dir=cache, device="cpu")

def work():
    outcomes = run_sweep(jobs, bench, registry=registry, report=lambda line: None)
    os._exit(0 if len(outcomes) == len(jobs) and all(outcome.result for outcome in outcomes) else 1)

workers = []
for _ in range(3):
    workers.append(os.fork())
    if workers[-1] == 0:
        work()
while not list((folder / "there" / "results").glob("*.json")):  # all are at work
    time.sleep(0.001)
os.kill(workers[0], signal.SIGKILL)
codes = [os.waitpid(worker, 0)[1] for worker in workers]
assert codes == [signal.SIGKILL, 0, 0], codes
"""


def bench_at(folder: str) -> Bench:
    return Bench(results=parse_location(f"{folder}/results"), cache_dir=parse_location(f"{folder}/cache"), device="cpu")


@pytest.fixture
def by_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Results and cache at a URL, which is that of the folder ``there``."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "copies"))
    return bench_at(f"file://{tmp_path}/there")


@pytest.fixture(params=["folder", "url"])
def there(request: pytest.FixtureRequest, tmp_path: Path, by_url: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Results and cache in the folder ``there``, or at its URL."""
    monkeypatch.setattr(sweep_run, "PAUSE", 0.05)
    return by_url if request.param == "url" else bench_at(f"{tmp_path}/there")


def url(location: Location) -> str:
    return location.url if isinstance(location, SharedFolder) else str(location)


@pytest.mark.slow
def test_sweeps_of_one_definition_share_its_runs_and_survive_the_death_of_one(
    write: Write, tmp_path: Path, there: Bench
) -> None:
    path = write(TOY.replace("[0, 1]", str(list(range(6)))))
    words = [sys.executable, "-c", WORKERS, str(tmp_path), url(there.results), url(there.cache_dir)]
    subprocess.run(words, check=True, cwd=Path(__file__).parents[2])
    jobs = planned(registry_of(entry_point("toy", toy.__name__, "toy-dist")), path)
    recorded = sorted(file.stem for file in (tmp_path / "there" / "results").glob("*.json"))
    assert recorded == sorted(job.run_id for job in jobs)  # each once: a repeat would be called -2
    assert {record.status for record in Store(tmp_path / "there" / "results").read(pytest.fail)} == {"completed"}


def test_a_run_that_somebody_else_carries_out_comes_last(registry: Registry, write: Write, there: Bench) -> None:
    jobs = planned(registry, write(TOY))
    local_folder(there.results).mkdir(parents=True)
    lines: list[str] = []
    release = threading.Event()

    def elsewhere() -> None:
        status = StatusFile(there.results)
        with claimed(there.results, jobs[0].plan.spec, status):
            held.set()
            release.wait(30)
        status.remove()

    def report(line: str) -> None:
        lines.append(line)
        if "other processes" in line:
            release.set()

    held = threading.Event()
    thread = threading.Thread(target=elsewhere)
    thread.start()
    held.wait(30)
    outcomes = run_sweep(jobs, there, registry=registry, report=report)
    thread.join()
    assert [outcome.seed for outcome in outcomes][-1] == jobs[0].seed and outcomes[-1].row == jobs[0].row
    assert lines[3] == "waiting for other processes, which carry out 1 more" and len(lines) == 5


def test_a_run_that_another_sweep_has_recorded_meanwhile_is_not_done_again(
    registry: Registry, write: Write, there: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = planned(registry, write(TOY))[:2]
    run_sweep(jobs, there, registry=registry, report=silent)
    monkeypatch.setattr(sweep_run, "run", lambda *arguments, **more: pytest.fail("done again"))
    outcomes = run_sweep(jobs, there, registry=registry, report=silent)
    assert [outcome.result and outcome.result.run_id for outcome in outcomes] == [job.run_id for job in jobs]
    if isinstance(there.results, SharedFolder):
        assert not there.results.entries(".running")


def test_a_run_that_is_done_twice_at_a_url_is_recorded_once(
    registry: Registry, write: Write, by_url: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a status file is too old although its worker lives."""
    (job, *_) = planned(registry, write(TOY))
    first: list[RunResult | None] = []

    def slow(*arguments: object, **more: object) -> RunResult:
        monkeypatch.setattr(sweep_run, "run", real_run)
        for file in (tmp_path / "there" / "results" / ".running").iterdir():
            file.unlink()
        first.extend(outcome.result for outcome in run_sweep([job], by_url, registry=registry, report=silent))
        return real_run(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep_run, "run", slow)
    outcomes = run_sweep([job], by_url, registry=registry, report=silent)
    assert [outcome.result for outcome in outcomes] == first != [None]
    assert len(list((tmp_path / "there" / "results").glob("*.json"))) == 1
