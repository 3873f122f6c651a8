"""All comparisons. A new one needs a module here and a line below."""

from __future__ import annotations

from typing import Any

from interp.comparisons.comparison import Comparison
from interp.comparisons.domains import DOMAINS
from interp.comparisons.heads import HEADS
from interp.comparisons.rates import HISTOGRAM, RATES
from interp.comparisons.scaling import DOSE_RESPONSE, RATIOS, SCALING, TRANSITIONS

OF_SCORES: tuple[Comparison[Any], ...] = (RATES, HISTOGRAM, SCALING, RATIOS, TRANSITIONS, DOSE_RESPONSE, DOMAINS)
OF_HEADS: tuple[Comparison[Any], ...] = (HEADS,)
