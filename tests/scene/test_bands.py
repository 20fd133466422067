import pytest

from geopdn.errors import BandError
from geopdn.scene.bands import name_bands, select_bands

SENTINEL = ("B02", "B03", "B04", "B08", "B11")


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (None, [1, 2, 3, 4, 5]),
        (["b04", "B03", "B02"], [3, 2, 1]),
        (["red", "Green", "blue", "NIR", "swir16"], [3, 2, 1, 4, 5]),
        ([5, 1], [5, 1]),
        (["2"], [2]),
    ],
)
def test_bands_are_found_by_name_alias_and_number(wanted, numbers):
    assert select_bands(SENTINEL, wanted) == numbers


def test_alias_works_towards_the_sensors_names_too():
    assert select_bands(["red", "green", "blue"], ["B02", "B04"]) == [3, 1]


def test_an_exact_name_wins_over_an_alias():
    assert select_bands(["B04", "red"], ["red"]) == [2]


@pytest.mark.parametrize("wanted", [["B05"], [0], [6], [], ["B02", "blue"], ["nir", "B12"]])
def test_errors_name_both_lists_and_the_option(wanted):
    with pytest.raises(BandError) as caught:
        select_bands(SENTINEL, wanted)
    message = str(caught.value)
    assert "B02, B03, B04, B08, B11" in message
    assert "--bands" in message
    assert all(str(band) in message for band in wanted)


def test_names_come_from_descriptions_then_colours_then_numbers():
    assert name_bands([None, None, None], ["red", "green", "blue"]) == ("red", "green", "blue")
    assert name_bands(["B04", " ", None], ["gray", "undefined", "nir"]) == ("B04", "2", "nir")
    assert name_bands(["x", "x"], ["gray", "gray"]) == ("1", "2")
