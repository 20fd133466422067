"""Faults 1 to 12: what may be opened as a scene, over which road, and what beside it is believed."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import rasterio
from loopback import Web, serving

from geopdn.errors import SceneOpenError, SceneReadError, SidecarWarning
from geopdn.geometry.window import Window
from geopdn.scene import Scene, handles, hosts, reader

HEAD = '<VRTDataset rasterXSize="700" rasterYSize="700">'
BAND = '<VRTRasterBand dataType="Byte" band="1"{}>{}</VRTRasterBand></VRTDataset>'
MEMBER = '<SourceFilename relativeToVRT="1">a.tif</SourceFilename>'
OUTSIDE = "<SourceFilename>{}</SourceFilename>"


def mosaic(inside="<SimpleSource>{}<SourceBand>1</SourceBand></SimpleSource>", source=MEMBER, attributes=""):
    return HEAD + BAND.format(attributes, inside.format(source))


HOSTILE = {
    "raw band": mosaic("{}", attributes=' subClass="VRTRawRasterBand"'),
    "raw band in small letters": mosaic("{}", attributes=' subclass="VRTRawRasterBand"'),
    "raw band by attributes": mosaic("", attributes=' subclass="VRTRawRasterBand" SourceFilename="/etc/hostname"'),
    "pixel function": mosaic(
        "<PixelFunctionType>inv</PixelFunctionType>{}", attributes=' subClass="VRTDerivedRasterBand"'
    ),
    "pixel function by attributes": mosaic(attributes=' subclass="VRTDerivedRasterBand" PixelFunctionType="inv"'),
    "python": mosaic(
        "<PixelFunctionLanguage>Python</PixelFunctionLanguage><PixelFunctionCode>import os</PixelFunctionCode>{}"
    ),
    "kernel": mosaic("<KernelFilteredSource>{}</KernelFilteredSource>"),
    "warped": mosaic().replace("<VRTDataset ", '<VRTDataset subClass="VRTWarpedDataset" '),
    "pansharpened": mosaic().replace("<VRTDataset ", '<VRTDataset subclass="VRTPansharpenedDataset" '),
    "absolute source": mosaic(source=OUTSIDE.format("@outside@")),
    "source by an attribute": mosaic('<SimpleSource SourceFilename="@outside@"></SimpleSource>'),
    "source of the parent": mosaic(source=MEMBER.replace("a.tif", "../outside.tif")),
    "source by a link": mosaic(source=MEMBER.replace("a.tif", "link.tif")),
    "source in a linked folder": mosaic(source=MEMBER.replace("a.tif", "linked/outside.tif")),
    "relative in small letters": mosaic(source=MEMBER.replace("relativeToVRT", "relativetovrt")),
    "source of the working folder": mosaic(source=OUTSIDE.format("inner/a.tif")),
    "driver's prefix": mosaic(source=MEMBER.replace("a.tif", "GTIFF_DIR:1:a.tif")),
    "/vsicurl": mosaic(source=OUTSIDE.format("/vsicurl/http://127.0.0.1/a.tif")),
    "/vsizip": mosaic(source=OUTSIDE.format("/vsizip/@inner@/a.zip/a.tif")),
    "nested": mosaic(source=MEMBER.replace("a.tif", "good.vrt")),
    "inline": mosaic(source=OUTSIDE.format("&lt;VRTDataset/&gt;")),
    "spaces": mosaic(source=MEMBER.replace("a.tif", " a.tif")),
    "comment": mosaic(source=MEMBER.replace("a.tif", "a<!-- -->.tif")),
    "cdata": mosaic(source=MEMBER.replace("a.tif", "<![CDATA[a.tif]]>")),
    "entity": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>' + mosaic(),
    "overview elsewhere": mosaic("<Overview>{}</Overview>", source=OUTSIDE.format("@outside@")),
    "array": mosaic("<ArraySource>{}</ArraySource>"),
    "text": mosaic(source=MEMBER.replace("a.tif", "notes.tif")),
    "cut": mosaic()[:-20],
    "utf-16": mosaic().encode("utf-16"),
}


def test_01_02_03_what_is_no_raster(fails, scene, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.tif").write_text("not a raster\n")
    (tmp_path / "cut.tif").write_bytes(scene.read_bytes()[:100])
    for name, words in {
        "nowhere.tif": "does not exist",
        "folder": "is a directory",
        "empty.tif": "is empty (0 bytes)",
        "text.tif": "is not a raster but text",
        "cut.tif": "it is damaged or not a raster",
    }.items():
        line = fails(SceneOpenError, "info", tmp_path / name)
        assert words in line
        assert name in line


@pytest.mark.parametrize("name", ["scene.vrt", "disguised.tif"])
def test_04_05_a_vrt_needs_permission(fails, plant, tmp_path, name):
    plant(tmp_path / "a.tif")
    (tmp_path / name).write_text(mosaic())
    assert "trust it with --allow-vrt" in fails(SceneOpenError, "info", tmp_path / name)


@pytest.mark.parametrize("kind", HOSTILE)
def test_05_06_hostile_vrts_are_refused_with_permission_too(fails, cli, plant, tmp_path, kind):
    inner = tmp_path / "inner"
    inner.mkdir()
    outside = plant(tmp_path / "outside.tif")
    a = plant(inner / "a.tif")
    (inner / "link.tif").symlink_to(outside)
    (inner / "linked").symlink_to(tmp_path)
    (inner / "notes.tif").write_text("secret")
    (inner / "good.vrt").write_text(mosaic())
    with zipfile.ZipFile(inner / "a.zip", "w") as archive:
        archive.write(a, "a.tif")
    text = HOSTILE[kind]
    path = inner / "bad.vrt"
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text.replace("@outside@", str(outside)).replace("@inner@", str(inner)))
    assert "bad.vrt" in fails(SceneOpenError, "info", path, "--allow-vrt")
    assert cli("info", inner / "good.vrt", "--allow-vrt").code == 0


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "169.254.169.254", "10.0.0.8", "[::1]", "2130706433", "box"]
)
def test_07_private_hosts_are_refused_before_any_socket(fails, monkeypatch, host):
    import socket

    def no_network(*_args, **_options):
        pytest.fail("a socket")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket, "socket", no_network)
    assert "--allow-host" in fails(SceneOpenError, "info", f"http://{host}/a.tif")


@pytest.fixture
def quick(monkeypatch):
    """Short patience; no proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(hosts, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(reader, "PAUSE_S", 0.05)
    for option, value in {
        "GDAL_HTTP_TIMEOUT": 2, "GDAL_HTTP_LOW_SPEED_TIME": 1, "GDAL_HTTP_RETRY_DELAY": 0.05, "GDAL_HTTP_MAX_RETRY": 2,
    }.items():  # fmt: skip
        monkeypatch.setitem(handles.GDAL_OPTIONS, option, value)


@pytest.fixture
def content(tmp_path_factory, make_scene):
    path = tmp_path_factory.mktemp("remote") / "a.tif"
    make_scene(path, size=(600, 600))
    return path.read_bytes()


TRUSTED = ("--allow-host", "127.0.0.1")


def test_07_a_host_that_is_named_is_asked(cli, content, quick):
    with serving(Web(content)) as web:
        done = cli("info", web.url, *TRUSTED, "--json")
    assert done.code == 0, done.err
    assert done.record["width"] == 600


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://169.254.169.254/latest/a.tif", "169.254.169.254, not a public address"),
        ("http://localhost/a.tif", "localhost is not a public host"),
        ("//10.0.0.1/a.tif", "10.0.0.1, not a public address"),
        ("file:///etc/hostname", "expected an http(s):// URL"),
        ("/scene.tif", "more than 5 redirects"),
    ],
)
def test_08_redirects_are_judged_before_they_are_followed(fails, content, quick, location, words):
    with serving(Web(content, lambda handler, _: handler.refuse(302, Location=location))) as web:
        assert words in fails(SceneOpenError, "info", web.url, *TRUSTED)
        assert len(web.requests) <= 6


def test_08_a_redirect_to_a_trusted_host_is_followed(cli, content, quick):
    with serving(Web(content)) as last:
        with serving(Web(b"", lambda handler, _: handler.refuse(302, Location=last.url))) as first:
            assert cli("info", first.url, *TRUSTED).code == 0
        assert len(last.requests) > 1


@pytest.mark.parametrize("fault", ["stall", "refuse", "truncate"])
def test_09_a_server_that_fails_at_once_is_refused(fails, content, quick, fault):
    def always(handler, number):
        return (
            handler.refuse(503) if fault == "refuse" else number > (fault == "truncate") and getattr(handler, fault)()
        )

    with serving(Web(content, always)) as web:
        line = fails(SceneOpenError, "info", web.url, *TRUSTED)
        assert web.url in line
        assert len(web.requests) >= 3


@pytest.mark.parametrize("fault", ["stall", "refuse", "truncate"])
def test_09_a_server_that_fails_later_loses_the_window_and_no_other(content, quick, fault):
    faulty = [True]

    def later(handler, number):
        if not faulty[0] or number < 4:
            return False
        return handler.refuse(503) if fault == "refuse" else getattr(handler, fault)()

    with serving(Web(content, later)) as web, Scene.open(web.url, allow_hosts=["127.0.0.1"]) as scene:
        with pytest.raises(SceneReadError, match=r"scene\.tif: rows 300-400"):
            scene.read(Window(300, 300, 100, 100))
        faulty[0] = False
        assert scene.read(Window(0, 0, 64, 64)).valid.all()


@pytest.mark.parametrize("fault", ["refuse", "truncate"])
def test_09_what_fails_once_is_asked_for_again(tmp_path, make_scene, content, quick, fault):
    image = make_scene(tmp_path / "same.tif", size=(600, 600))

    def once(handler, number):
        return number == 4 and (handler.refuse(503) if fault == "refuse" else handler.truncate())

    with serving(Web(content, once)) as web, Scene.open(web.url, allow_hosts=["127.0.0.1"]) as scene:
        np.testing.assert_array_equal(scene.read(Window(300, 300, 100, 100)).values, image[:, 300:400, 300:400])


@pytest.mark.parametrize(
    "name", ["a b.tif", "é鳥😀.tif", "a#b.tif", "a?b.tif", "a!b.tif", "a%20b.tif", "a|b.tif", "-a.tif"]
)
def test_10_odd_names_work_from_scene_to_result(cli, plant, exact, tmp_path, name):
    path = plant(tmp_path / name)
    done = cli("detect", path, "--model", exact, "--budget", "full", "--json", "-q")
    assert done.code == 0, done.err
    assert done.record["detections"] == 5
    assert done.record["scene"] == name


@pytest.mark.parametrize(
    "text",
    [
        "zip:///tmp/a.zip!b.tif", "zip+https://example.com/a.zip!b.tif", "/vsimem/a.tif", "/vsistdin/", "s3://b/a.tif",
        "/vsicurl/http://127.0.0.1/a.tif", "MEM:::DATAPOINTER=1", "GTIFF_DIR:1:a.tif", "file:///etc/hostname",
        "a\n.tif", "a\x1b[2J.tif", "<VRTDataset/>", "ftp://example.com/a.tif", "http://", "https:///a.tif",
        "http://a b/", "http://user:pw@example.com/a.tif", "gs://b/a.tif", "WMS:http://example.com",
    ],
)  # fmt: skip
def test_11_hostile_strings_are_refused(fails, text):
    line = fails(SceneOpenError, "info", text, "--allow-vrt")
    assert "\x1b" not in line


PAM = '<PAMDataset><PAMRasterBand band="1"><NoDataValue>255</NoDataValue></PAMRasterBand></PAMDataset>'
LIES = {
    "scene.tif.aux.xml": PAM,
    "scene.tfw": "7\n0\n0\n-7\n100\n100\n",
    "scene.wld": "7\n0\n0\n-7\n100\n100\n",
}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("name", [*LIES, "scene.tif.ovr", "scene.tif.msk"])
def test_12_what_lies_beside_a_scene_is_not_believed(cli, plant, tmp_path, name):
    path = plant(tmp_path / "scene.tif", crs=None, transform=None)
    before = cli("info", path, "--json")
    if name in LIES:
        (tmp_path / name).write_text(LIES[name])
    elif name.endswith(".ovr"):
        with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as target:
            target.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
    else:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as target:
            target.write_mask(np.zeros((700, 700), np.uint8))
    assert (tmp_path / name).exists()
    after = cli("info", path, "--json")
    assert json.loads(after.out) == json.loads(before.out)
    assert (
        after.err
        == before.err + f"warning: {name} lies beside the scene and is ignored: only the file itself is believed\n"
    )
    with pytest.warns(SidecarWarning):
        scene = Scene.open(path)
    with scene:
        assert scene.read(Window(0, 0, 700, 700)).valid.all()
        assert scene.transform.is_identity
