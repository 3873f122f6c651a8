"""Sizes in memory, as people write them."""

import pytest

from interp.sizes import SizeError, in_bytes


@pytest.mark.parametrize(
    ("given", "expected"),
    [(4096, 4096), ("4096", 4096), ("512MiB", 2**29), ("2 GiB", 2**31), ("1.5GB", 1_500_000_000), ("2gib", 2**31)],
)
def test_bytes_and_units(given, expected):
    assert in_bytes(given) == expected


@pytest.mark.parametrize(
    "given", [0, -1, True, "", "0", "0.4", "-2GiB", "2GiB!", "2 GiB or so", "lots", "1e9", "3 apples", "inf"]
)
def test_nonsense_is_refused_in_a_line_that_says_what_to_write(given):
    with pytest.raises(SizeError, match=r"512MiB, 2GiB or 4GB$") as refused:
        in_bytes(given)
    assert "\n" not in str(refused.value)
