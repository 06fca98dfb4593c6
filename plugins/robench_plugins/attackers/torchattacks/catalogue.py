"""The attacks of torchattacks 3.5, as data, so that listing them imports neither it nor torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """One attack of torchattacks.

    Attributes:
        summary: What it does.
        arxiv: The number of its paper on arXiv.
        norm: The norm of the ball by which its images are judged; ``either`` if the attack works in both.
        query: Whether it only sees logits.
    """

    summary: str
    arxiv: str = ""
    norm: Literal["Linf", "L2", "L0", "either"] = "Linf"
    query: bool = False


# Attacks in L0 are judged by the pixels that they change. Those in L1, and some in L2, know no radius: their images are
# cut to an L2 ball. Two names of torchattacks are left out, because they are not attacks themselves: MultiAttack and
# LGV run others, and LGV trains the network it is given.
UPSTREAM = {
    "VANILA": Upstream(summary="no attack: the clean images", query=True),
    "GN": Upstream(summary="Gaussian noise", query=True),
    "FGSM": Upstream(summary="fast gradient sign method", arxiv="1412.6572"),
    "BIM": Upstream(summary="basic iterative method", arxiv="1607.02533"),
    "RFGSM": Upstream(summary="iterated FGSM after a random step", arxiv="1705.07204"),
    "PGD": Upstream(summary="projected gradient descent", arxiv="1706.06083"),
    "EOTPGD": Upstream(summary="PGD on gradients averaged over the network's randomness", arxiv="1907.00895"),
    "FFGSM": Upstream(summary="FGSM from a random start", arxiv="2001.03994"),
    "TPGD": Upstream(summary="PGD on the divergence from the clean prediction (TRADES)", arxiv="1901.08573"),
    "MIFGSM": Upstream(summary="FGSM with momentum", arxiv="1710.06081"),
    "UPGD": Upstream(summary="PGD with a choice of loss, momentum and averaging", arxiv="1706.06083"),
    "APGD": Upstream(summary="Auto-PGD, untargeted", arxiv="2003.01690", norm="either"),
    "APGDT": Upstream(summary="Auto-PGD towards every wrong class", arxiv="2003.01690", norm="either"),
    "DIFGSM": Upstream(summary="FGSM with input diversity", arxiv="1803.06978"),
    "TIFGSM": Upstream(summary="FGSM with translation-invariant gradients", arxiv="1904.02884"),
    "Jitter": Upstream(summary="PGD on a scaled, noisy softmax", arxiv="2105.10304"),
    "NIFGSM": Upstream(summary="FGSM with Nesterov momentum", arxiv="1908.06281"),
    "PGDRS": Upstream(summary="PGD against randomised smoothing", arxiv="1906.04584"),
    "SINIFGSM": Upstream(summary="NI-FGSM averaged over scaled images", arxiv="1908.06281"),
    "VMIFGSM": Upstream(summary="MI-FGSM with variance tuning", arxiv="2103.15571"),
    "VNIFGSM": Upstream(summary="NI-FGSM with variance tuning", arxiv="2103.15571"),
    "SPSA": Upstream(summary="gradients estimated from random pairs of queries", arxiv="1802.05666", query=True),
    "JSMA": Upstream(
        summary="saliency maps, towards the next class; memory grows with the square of the pixels",
        arxiv="1511.07528",
        norm="L0",
    ),
    "EADL1": Upstream(summary="elastic-net attack, smallest L1", arxiv="1709.04114", norm="L2"),
    "EADEN": Upstream(summary="elastic-net attack, smallest L1 and L2 together", arxiv="1709.04114", norm="L2"),
    "PIFGSM": Upstream(summary="patch-wise FGSM", arxiv="2007.06765"),
    "PIFGSMPP": Upstream(summary="patch-wise FGSM with a projected gradient", arxiv="2012.15503"),
    "CW": Upstream(summary="Carlini and Wagner without a search for c", arxiv="1608.04644", norm="L2"),
    "PGDL2": Upstream(summary="PGD in L2", arxiv="1706.06083", norm="L2"),
    "DeepFool": Upstream(summary="steps to the nearest linearised boundary", arxiv="1511.04599", norm="L2"),
    "PGDRSL2": Upstream(summary="PGD in L2 against randomised smoothing", arxiv="1906.04584", norm="L2"),
    "SparseFool": Upstream(summary="DeepFool with few pixels", arxiv="1811.02248", norm="L0"),
    "OnePixel": Upstream(summary="differential evolution of one pixel", arxiv="1710.08864", norm="L0", query=True),
    "Pixle": Upstream(summary="pixels rearranged at random", arxiv="2202.02236", norm="L0", query=True),
    "FAB": Upstream(summary="fast adaptive boundary attack", arxiv="1907.02044", norm="either"),
    "AutoAttack": Upstream(summary="torchattacks' own version of AutoAttack", arxiv="2003.01690", norm="either"),
    "Square": Upstream(summary="random search over squares", arxiv="1912.00049", norm="either", query=True),
}
