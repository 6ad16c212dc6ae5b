"""The page of a molecule in Chromium: it draws, it listens, and nobody else's script runs in it."""

import numpy as np
import pytest
from browser import CHROMIUM, Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

HOSTILE = '</title><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">\'"</script>'

BLUE, ORANGE = np.array([0, 0.45, 0.7]), np.array([0.84, 0.37, 0])


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def page(water, tmp_path_factory):
    """The page of a molecule with a hostile name."""
    path = tmp_path_factory.mktemp("pages") / "page.html"
    water.page(HOSTILE, notes=[HOSTILE]).write(path)
    return path


@pytest.fixture(scope="module")
def opened(browser, page):
    """The browser with this page, which the tests leave as they like."""
    browser.open(page)
    return browser


def share(pixels, colour):
    """Share of the pixels whose colour goes the way of another from grey."""
    tint = pixels - pixels.mean(axis=2, keepdims=True)
    wanted = colour - colour.mean()
    size = np.linalg.norm(tint, axis=2)
    along = tint @ wanted / np.linalg.norm(wanted)
    return float(((size > 0.1) & (along > 0.95 * size)).mean())


def test_nothing_is_asked_for_and_no_error_told(opened):
    assert opened.errors == []
    assert [url.split(":")[0] for url in opened.requests if not url.startswith("data:")] == ["file"]


def test_names_do_not_run(opened):
    assert opened.evaluate("window.hacked === undefined")
    assert opened.evaluate("document.querySelector('h1').textContent") == HOSTILE
    assert opened.evaluate("document.title") == HOSTILE


def test_orbitals_are_drawn_and_chosen(opened):
    shown = {"HOMO": opened.pixels("#viewer")}
    assert opened.evaluate("document.querySelector('#viewer').dataset.surfaces") == "2"
    opened.click("#controls [data-field='3']")
    shown["LUMO"] = opened.pixels("#viewer")
    assert opened.evaluate("document.querySelector('#shown').textContent").startswith("LUMO")
    opened.click("#controls [data-field='none']")
    shown["none"] = opened.pixels("#viewer")
    for name in ("HOMO", "LUMO"):
        assert share(shown[name], BLUE) > 0.002 and share(shown[name], ORANGE) > 0.002
    assert share(shown["none"], BLUE) == share(shown["none"], ORANGE) == 0
    assert np.abs(shown["HOMO"] - shown["LUMO"]).max(axis=2).mean() > 0.01
    opened.click("#levels [data-field='2'] .reach")
    assert np.array_equal(opened.pixels("#viewer"), shown["HOMO"])
    assert opened.evaluate("document.querySelector('#controls [data-field=\"2\"]').ariaPressed") == "true"


def test_keys_choose_and_turn(opened):
    first = opened.pixels("#viewer")
    opened.evaluate("document.querySelector('#controls [data-field=\"0\"]').focus()")
    opened.press("Enter")
    second = opened.pixels("#viewer")
    assert not np.array_equal(first, second)
    opened.evaluate("document.querySelector('#viewer').focus()")
    opened.press("ArrowLeft")
    assert not np.array_equal(second, opened.pixels("#viewer"))


def test_surface_follows_its_value(opened):
    def set_level(position):
        opened.evaluate(
            f"(() => {{ const e = document.querySelector('#level'); e.value = {position};"
            " e.dispatchEvent(new Event('input')); })()"
        )
        return share(opened.pixels("#viewer"), BLUE)

    assert set_level(10) > 1.5 * set_level(80) > 0
    opened.click("#dipole")
    opened.evaluate("document.querySelector('#labels').value = 'mulliken_charges'")
    opened.evaluate("document.querySelector('#labels').dispatchEvent(new Event('change'))")
    opened.pixels("#viewer")
    assert opened.errors == []


def test_isosurface_of_a_sphere(opened):
    """Closed, oriented outwards, and where the level is."""
    found = opened.evaluate(
        "(() => { const n = 21, v = new Float32Array(n ** 3); let m = 0;"
        " for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) for (let k = 0; k < n; k++)"
        "   v[m++] = Math.exp(-((i - 10) ** 2 + (j - 10) ** 2 + (k - 10) ** 2) / 18);"
        " const fine = refine(v, [n, n, n]); return isosurface(fine.values, fine.shape, Math.exp(-2)); })()"
    )
    points = np.array([v["point"] for v in found["vertices"]]) / 2 - 10
    normals = np.array([v["normal"] for v in found["vertices"]])
    triangles = np.array(found["triangles"]).reshape(-1, 3)
    radii = np.linalg.norm(points, axis=1)
    assert np.abs(radii - 6).max() < 0.03
    assert (normals * points / radii[:, None]).sum(axis=1).min() > 0.99
    a, b, c = points[triangles].transpose(1, 0, 2)
    assert (np.cross(b - a, c - a) * (a + b + c)).sum(axis=1).min() > 0
    edges = [tuple(sorted(e)) for t in triangles.tolist() for e in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0]))]
    assert {edges.count(e) for e in edges[::50]} == {2}
    volume = (a * np.cross(b, c)).sum() / 6
    assert volume == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.01)


def test_page_fits_its_window(opened):
    for width in (360, 768, 1200):
        opened.resize(width, 700, phone=width < 500)
        assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_foreign_scripts_do_not_run(browser, page, tmp_path):
    """Even a text that was not escaped would not run: the policy knows the page's own scripts."""
    path = tmp_path / "page.html"
    path.write_text(page.read_text(encoding="utf-8").replace("</h1>", f"</h1>{HOSTILE}"), encoding="utf-8")
    browser.open(path)
    assert browser.evaluate("window.hacked === undefined")
    assert browser.evaluate("document.querySelector('#viewer').dataset.surfaces") == "2"
    assert browser.evaluate("fetch('https://example.org').then(() => 'sent', () => 'refused')") == "refused"
    assert browser.evaluate("(() => { try { return window.eval('1'); } catch { return 'refused'; } })()") == "refused"


def test_both_spins_are_chosen(browser, methyl, tmp_path):
    """A level of β by its line, and the spin density by its button: of carbon, with a little of the other sign."""
    methyl.page("methyl").write(tmp_path / "methyl.html")
    browser.errors.clear()  # of scripts that were refused
    browser.open(tmp_path / "methyl.html")
    shown = "document.querySelector('#shown').textContent"
    names = browser.evaluate("[...document.querySelectorAll('#controls button')].map((b) => b.textContent)")
    assert browser.evaluate(shown).startswith("α HOMO:") and len(names) == len(set(names))
    browser.click(f"#levels [data-field='{names.index('β LUMO')}'] .reach")
    assert browser.evaluate(shown).startswith("β LUMO:")
    assert share(browser.pixels("#viewer"), BLUE) > 0.002 and share(browser.pixels("#viewer"), ORANGE) > 0.002
    browser.click(f"#controls [data-field='{names.index('Spin density')}']")
    assert browser.evaluate("document.querySelector('#viewer').dataset.surfaces") == "2"
    assert share(browser.pixels("#viewer"), BLUE) > 1.5 * share(browser.pixels("#viewer"), ORANGE)
    browser.evaluate("document.querySelector('#labels').value = 'mulliken_spins'")
    browser.evaluate("document.querySelector('#labels').dispatchEvent(new Event('change'))")
    for width in (360, 1200):
        browser.resize(width, 700, phone=width < 500)
        browser.pixels("#viewer")  # the drawing has its new size by now
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.errors == []


def test_notebook_draws(browser, water, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(f"<!DOCTYPE html><meta charset=utf-8>{water._repr_html_()}", encoding="utf-8")
    browser.open(path)
    browser.evaluate("new Promise((done) => setTimeout(done, 300))")
    assert share(browser.pixels("iframe"), ORANGE) > 0.002
