"""Do memorized windows stand in the corpus more often, and does frequency jump where the continuation begins?

    python experiments/frequency.py --out DIRECTORY [--models pythia-small-1.2m ...] [--draw-only]

An index of what the small models were shown, exact counts of n-grams (1 to 8) at every position and of whole windows,
for memorized, unmemorized (M = 0) and matched windows. The finding says how many planted counts the index gives back.
"""

from __future__ import annotations

from experiment import EVERY, FIGURES, experiment

from interp.data.counts.build import build_index
from interp.data.tokenizers import tokenizer_fingerprint
from interp.measurements.frequency import FREQUENCY, FrequencySettings
from interp.models.loading import load_tokenizer
from interp.models.registry import small_models
from interp.planted.corpus import shown_documents
from interp.planted.shapes import VOCAB_SIZE

INDEX = FIGURES / "frequency" / "index"

if __name__ == "__main__":
    tokenizer = tokenizer_fingerprint(load_tokenizer(small_models()[0].name))
    source = "windows as shown to the small models"
    build_index(shown_documents(), INDEX, d_vocab=VOCAB_SIZE, tokenizer=tokenizer, source=source)
    experiment(__doc__, (FREQUENCY, FrequencySettings(index=INDEX)), sets=EVERY, per_set=None)
