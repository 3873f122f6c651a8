"""All measurements. A new one needs a module here and a line below; it then has a command, tables and figures."""

from __future__ import annotations

from typing import Any

from interp.measurements.ablate import ABLATE
from interp.measurements.attention import ATTENTION
from interp.measurements.attribute import ATTRIBUTE
from interp.measurements.compress import COMPRESS
from interp.measurements.cumulative import CUMULATIVE
from interp.measurements.depth import DEPTH
from interp.measurements.extract import EXTRACT
from interp.measurements.frequency import FREQUENCY
from interp.measurements.lens import LENS
from interp.measurements.measurement import Measurement
from interp.measurements.noise import PERTURB
from interp.measurements.numerics import NUMERICS
from interp.measurements.predict import PREDICT
from interp.measurements.substitute import SUBSTITUTE

STATISTICAL: tuple[Measurement[Any], ...] = (EXTRACT, COMPRESS, DEPTH, FREQUENCY, PREDICT, NUMERICS)
INTERNAL: tuple[Measurement[Any], ...] = (ABLATE, CUMULATIVE, LENS, ATTRIBUTE, PERTURB, SUBSTITUTE, ATTENTION)
