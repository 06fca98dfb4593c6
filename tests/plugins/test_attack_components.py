"""The lists of attacks, and how each describes itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torchattacks
from robench.registry.describe import describe
from robench.registry.discovery import Plugin
from robench.registry.registry import Registry

from robench_plugins.attackers.components import ATTACKERS
from robench_plugins.attackers.torchattacks.catalogue import UPSTREAM as UPSTREAM_LIST
from robench_plugins.constraints.components import CONSTRAINTS
from tests.helpers.attack_fixtures import BY_NAME, UPSTREAM, make

REGISTRY = Registry([Plugin(name="test", distribution="test", version="0", components=(*ATTACKERS, *CONSTRAINTS))])


def test_every_attack_of_torchattacks_is_listed() -> None:
    wrappers = {"MultiAttack", "LGV"}
    assert set(UPSTREAM_LIST) == set(torchattacks.__all__) - wrappers
    assert {f"torchattacks-{name.lower()}" for name in UPSTREAM_LIST} == set(UPSTREAM)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_attack_describes_itself_and_its_parameters(name: str) -> None:
    about = describe(REGISTRY, "attacker", name)
    assert about.reference and len(about.documentation) > 30
    own = [parameter for parameter in about.parameters if parameter.name not in ("n", "surrogate.KEY")]
    assert own[0].name in ("eps", "norm") and all(parameter.description for parameter in own)
    assert not {"seed", "device", "verbose", "n_classes", "model"} & {parameter.name for parameter in own}


@pytest.mark.parametrize(
    ("name", "default"),
    [("pgd", "unset"), ("pgd-l0", "20"), ("patch-pgd", "8"), ("spatial-pgd", "30"), ("cw", "128/255")],
)
def test_a_number_of_pixels_or_degrees_is_written_as_it_is_typed(name: str, default: str) -> None:
    about = describe(REGISTRY, "attacker", name)
    (eps,) = [parameter for parameter in about.parameters if parameter.name == "eps"]
    assert eps.default == default
    assert default == "unset" or f":eps={default}" in about.example


@pytest.mark.parametrize("name", UPSTREAM)
def test_upstream_attacks_name_their_paper_and_their_norm(name: str) -> None:
    entry = next(entry for key, entry in UPSTREAM_LIST.items() if key.lower() == name.partition("-")[2])
    about = describe(REGISTRY, "attacker", name)
    assert f"arXiv:{entry.arxiv}" in about.documentation and "arXiv:2010.01950" in about.reference
    assert any(parameter.name == "norm" for parameter in about.parameters) == (entry.norm == "either")
    assert make(name).threat(surrogate=False).norm == ("Linf" if entry.norm == "either" else entry.norm)


def test_names_of_surrogates_still_parse() -> None:
    assert REGISTRY._split_surrogate("torchattacks-pgd-resnet20") == ("torchattacks-pgd", "resnet20")
    assert REGISTRY._split_surrogate("torchattacks-pgdl2-resnet20") == ("torchattacks-pgdl2", "resnet20")
    assert REGISTRY._split_surrogate("apgd-t-resnet20") == ("apgd-t", "resnet20")


def test_listing_the_attacks_imports_neither_torch_nor_torchattacks() -> None:
    code = "import robench_plugins.attackers.components, sys; print({'torch', 'torchattacks'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
