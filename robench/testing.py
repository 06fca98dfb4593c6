"""For the tests of plugins: does a component keep its contract?

.. code-block:: python

    from robench.testing import assert_conforms

    def test_my_attack() -> None:
        assert_conforms("attacker", "my-attack:steps=3")
"""

from __future__ import annotations

from robench.conformance.examine import examine
from robench.contracts.types import Kind
from robench.registry.registry import Registry, discover
from robench.run.plan import DEFAULT_DATASET


def assert_conforms(
    kind: Kind,
    text: str,
    *,
    dataset: str = DEFAULT_DATASET,
    model: str | None = None,
    registry: Registry | None = None,
) -> None:
    """Try a component as ``robench check`` does.

    Args:
        kind: ``dataset``, ``model``, ``attacker``, ``tuner``, ``adaptation``, ``objective`` or ``logger``.
        text: As typed on the command line, such as ``my-attack:steps=3``.
        dataset: The images that models, attacks and tuners are tried on.
        model: The network that attacks and tuners are tried on; what the dataset recommends by default.
        registry: Where to look; all installed plugins by default.

    Raises:
        AssertionError: It breaks a rule; every broken rule is named with what was seen.
        SpecError: No such component, or a parameter is wrong.
    """
    found = list(examine(registry or discover(), kind, text, dataset=dataset, model=model))
    broken = [f"  {each.rule}: {each.seen}" for each in found if not each.kept]
    assert not broken, "\n".join([f"{kind} {text} breaks {len(broken)} of {len(found)} rules", *broken])
