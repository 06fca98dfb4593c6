"""For the tests of a plugin: whether a component keeps its contract.

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
    """Check a component as ``robench check`` does.

    Args:
        kind: ``dataset``, ``model``, ``attacker``, ``tuner``, ``adaptation``, ``objective`` or ``logger``.
        text: As typed on the command line, such as ``my-attack:steps=3``.
        dataset: The images on which models, attacks and tuners are tried.
        model: The network on which attacks and tuners are tried; by default the one that the dataset recommends.
        registry: The components to choose from; by default those of all installed plugins.

    Raises:
        AssertionError: The component breaks a rule. The message names every broken rule and what was seen.
        SpecError: There is no such component, or a parameter is wrong.
    """
    found = list(examine(registry or discover(), kind, text, dataset=dataset, model=model))
    broken = [f"  {each.rule}: {each.seen}" for each in found if not each.kept]
    assert not broken, "\n".join([f"{kind} {text} breaks {len(broken)} of {len(found)} rules", *broken])
