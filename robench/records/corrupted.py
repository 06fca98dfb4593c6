"""What a network scores on corrupted images, which no adversary made."""

from __future__ import annotations

from pydantic import Field

from robench.records.limits import Count, Line, Seconds
from robench.records.score import Score
from robench.records.spec import Record

MOST_SCORES = 1000
"""Most scores of one corruption component: names times severities."""


class CorruptedScore(Score):
    """Accuracy on the images under one corruption at one severity."""

    name: Line = Field(description="the corruption, such as fog")
    severity: Count = Field(description="how strong it is; 1 is the mildest")
    images: Line = Field(description="SHA-256 of the corrupted images evaluated, first 16 hex digits")


class CorruptionRecord(Record):
    """What the network scores on the corruptions of one component."""

    label: Line = Field(description="short form of the component")
    scores: tuple[CorruptedScore, ...] = Field(
        min_length=1, max_length=MOST_SCORES, description="every corruption at every severity"
    )
    seconds: Seconds = Field(description="corruption and evaluation together")
