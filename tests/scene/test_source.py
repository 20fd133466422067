import socket

import numpy as np
import pytest
import rasterio

from geopdn.errors import SceneOpenError
from geopdn.geometry.window import Window
from geopdn.scene import hosts
from geopdn.scene.reader import Scene
from geopdn.scene.source import check_source

RAW_VRT = """<VRTDataset rasterXSize="4" rasterYSize="1">
<VRTRasterBand dataType="Byte" band="1"
subClass="VRTRawRasterBand"><SourceFilename relativeToVRT="1">secret.bin</SourceFilename>
</VRTRasterBand></VRTDataset>"""
VRT = """<VRTDataset rasterXSize="300" rasterYSize="200"><VRTRasterBand dataType="Byte" band="1">
<SimpleSource><SourceFilename relativeToVRT="{relative}">{source}</SourceFilename><SourceBand>1</SourceBand>
</SimpleSource></VRTRasterBand></VRTDataset>"""


def test_a_geotiff_passes_with_its_own_driver_only(tmp_path, make_scene):
    make_scene(tmp_path / "a.tif")
    assert check_source(tmp_path / "a.tif") == (str(tmp_path / "a.tif"), ["GTiff"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        ("folder", "is a directory"),
        (b"", "0 bytes"),
        (b"hello, this is no raster\n", "not a raster but text"),
        (b"\x7fELF\x02\x01\x01", "unknown data"),
    ],
)
def test_what_is_no_raster_is_named(tmp_path, content, words):
    path = tmp_path / "scene.tif"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(SceneOpenError, match=words) as caught:
        Scene.open(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cut_header_is_damaged(tmp_path, make_scene):
    make_scene(tmp_path / "a.tif")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:100])
    with pytest.raises(SceneOpenError, match=r"cut\.tif cannot be opened, it is damaged"):
        Scene.open(tmp_path / "cut.tif")


@pytest.mark.parametrize("name", ["a b.tif", "é鳥.tif", "a#b.tif", "a?b.tif", "a!b.tif", "a%20b.tif", "MEM:::x.tif"])
def test_odd_names_of_real_files_open(tmp_path, make_scene, name):
    truth = make_scene(tmp_path / name, size=(20, 30))
    with Scene.open(tmp_path / name) as scene:
        assert scene.size.area == truth[0].size
        assert scene.name == name


@pytest.mark.parametrize(
    "text",
    [
        "zip:///tmp/a.zip!b.tif",
        "zip+https://example.com/a.zip!b.tif",
        "/vsimem/a.tif",
        "/vsicurl/http://127.0.0.1/a.tif",
        "MEM:::DATAPOINTER=1",
        "GTIFF_DIR:1:a.tif",
        "file:///etc/hostname",
        "s3://bucket/a.tif",
        "a\n.tif",
        "a\0.tif",
        "",
        "<VRTDataset/>",
    ],
)
def test_hostile_strings_are_refused(text):
    with pytest.raises(SceneOpenError):
        check_source(text, allow_vrt=True)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fe80::1]",
        "169.254.169.254",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.5.4",
        "100.64.0.1",
        "metadata.google.internal",
        "printer.local",
        "intranet",
        "user@8.8.8.8",
        "8.8.8.8\\@127.0.0.1",
        "",
    ],
)
def test_private_hosts_are_refused_before_any_socket(monkeypatch, host):
    def no_network(*_args, **_options):
        pytest.fail("a name was resolved")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket, "socket", no_network)
    with pytest.raises(SceneOpenError):
        check_source(f"http://{host}/a.tif")


@pytest.mark.parametrize(("address", "allowed"), [("93.184.215.14", True), ("10.0.0.7", False), ("::1", False)])
def test_names_are_judged_by_all_their_addresses(monkeypatch, address, allowed):
    found = [(0, 0, 0, "", ("1.1.1.1", 443)), (0, 0, 0, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    monkeypatch.setattr(hosts, "_redirect", lambda _url: None)
    url = "https://data.example.com/a.tif?x=1"
    if allowed:
        target, drivers = check_source(url)
        assert target == f"/vsicurl/{url}"
        assert "VRT" not in drivers
    else:
        with pytest.raises(SceneOpenError, match=address):
            check_source(url)


@pytest.mark.parametrize("name", ["mosaic.vrt", "disguised.tif"])
def test_a_vrt_needs_permission_whatever_its_name(tmp_path, make_scene, name):
    truth = make_scene(tmp_path / "a.tif", bands=1)
    (tmp_path / name).write_text(VRT.format(relative=1, source="a.tif"))
    with pytest.raises(SceneOpenError, match="--allow-vrt"):
        Scene.open(tmp_path / name)
    with Scene.open(tmp_path / name, allow_vrt=True) as scene:
        assert scene.driver == "VRT"
        assert (scene.size.height, scene.size.width) == truth.shape[1:]


def test_a_vrt_keeps_to_its_folder_and_to_plain_rasters(tmp_path, make_scene):
    inner = tmp_path / "inner"
    inner.mkdir()
    make_scene(tmp_path / "outside.tif", bands=1)
    make_scene(inner / "a.tif", bands=1)
    (inner / "secret.bin").write_bytes(b"abcd")
    (inner / "link.tif").symlink_to(tmp_path / "outside.tif")
    (inner / "nested.tif").write_text(VRT.format(relative=0, source=tmp_path / "outside.tif"))
    good = VRT.format(relative=1, source="a.tif")
    bad = {
        "raw": (RAW_VRT, "VRTRawRasterBand"),
        "parent": (VRT.format(relative=1, source="../outside.tif"), "does not lie under"),
        "absolute": (VRT.format(relative=0, source=tmp_path / "outside.tif"), "does not lie under"),
        "link": (VRT.format(relative=1, source="link.tif"), "does not lie under"),
        "remote": (VRT.format(relative=0, source="/vsicurl/http://127.0.0.1/a.tif"), "does not lie under"),
        "nested": (VRT.format(relative=1, source="nested.tif"), "cannot be opened"),
        "missing": (VRT.format(relative=1, source="b.tif"), "cannot be opened"),
        "warped": (good.replace("<VRTDataset ", '<VRTDataset subClass="VRTWarpedDataset" '), "VRTWarpedDataset"),
        "pixelfn": (good.replace("<SimpleSource>", "<PixelFunctionType>x</PixelFunctionType><SimpleSource>"), "Pixel"),
        "comment": (good.replace("a.tif", "a<!-- -->.tif"), "comments"),
        "bomb": ('<!DOCTYPE x [<!ENTITY a "b">]>' + good, "entities"),
        "cut": (good[:-20], "not valid XML"),
    }
    for name, (text, words) in bad.items():
        (inner / f"{name}.vrt").write_text(text)
        with pytest.raises(SceneOpenError, match=words):
            check_source(inner / f"{name}.vrt", allow_vrt=True)
    (inner / "good.vrt").write_text(good)
    assert check_source(inner / "good.vrt", allow_vrt=True) == (str(inner / "good.vrt"), ["VRT"])


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_other_formats_open(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 40, 50)).astype(np.uint8)
    for driver, name in {"PNG": "a.png", "JP2OpenJPEG": "a.jp2"}.items():
        options = {"QUALITY": 100, "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
        with rasterio.open(
            tmp_path / name, "w", driver=driver, height=40, width=50, count=3, dtype="uint8", **options
        ) as dataset:
            dataset.write(pixels)
        (tmp_path / f"{name}.aux.xml").unlink(missing_ok=True)
        with Scene.open(tmp_path / name) as scene:
            assert scene.driver == driver
            np.testing.assert_array_equal(scene.read(Window(0, 0, 40, 50)).values, pixels)
