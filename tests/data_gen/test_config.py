"""Configurations: every mistake is named with its place, all at once, and nothing is executed."""

import pytest

from hampred.config import GenerateConfig, RattleConfig, load_config, preset_names
from hampred.errors import HampredError

WATER = {"geometries": [{"kind": "g2", "names": ["H2O"], "sampling": [{"kind": "rattle", "count": 2}]}]}


def test_every_preset_of_generate_is_valid():
    presets = [name for name in preset_names() if name.startswith("generate/")]
    assert {"generate/water", "generate/g2_small", "generate/smiles_md"} <= set(presets)
    for name in presets:
        load_config(GenerateConfig, name)


def test_overrides_reach_nested_keys_and_items_of_lists():
    config = load_config(
        GenerateConfig,
        WATER,
        ["level.basis=sto-3g", "level.conv_tol=1e-8", "geometries.0.sampling.0.stdev=0.02", "forces=true"],
    )
    step = config.geometries[0].sampling[0]
    assert (config.level.basis, config.level.conv_tol, config.forces) == ("sto-3g", 1e-8, True)
    assert isinstance(step, RattleConfig) and step.stdev == 0.02
    assert "stdev" not in WATER["geometries"][0]["sampling"][0]  # the mapping that was given is left alone


def test_all_mistakes_are_told_at_once_with_their_place():
    wrong = ["levle.basis=x", "level.grid_levle=4", "level.grid_level=12", "geometries.0.sampling.0.cuont=3"]
    with pytest.raises(HampredError) as caught:
        load_config(GenerateConfig, WATER, wrong)
    text = str(caught.value)
    assert "\n" not in text
    for part in (
        "unknown key levle (did you mean level?)",
        "unknown key level.grid_levle (did you mean grid_level?)",
        "unknown key geometries.0.sampling.0.cuont (did you mean count?)",
        "level.grid_level: input should be less than or equal to 9, not 12",
    ):
        assert part in text


def test_nitric_oxide_read_as_false_is_explained(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("geometries:\n  - kind: g2\n    names: [No]\n")
    with pytest.raises(HampredError, match=r"geometries\.0\.names\.0: .* not False; quote it"):
        load_config(GenerateConfig, path)


@pytest.mark.parametrize(
    "text", ["", "- 1\n", "a: [", "geometries: !!python/object/apply:os.system ['false']\n", "\x00", "5"]
)
def test_what_is_no_mapping_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(HampredError) as caught:
        load_config(GenerateConfig, path)
    assert "\n" not in str(caught.value)


def test_aliases_that_multiply_end_quickly(tmp_path):
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    path = tmp_path / "c.yaml"
    path.write_text("\n".join(lines) + "\nlevel: *a59\n")
    with pytest.raises(HampredError) as caught:
        load_config(GenerateConfig, path)
    assert len(str(caught.value)) < 20_000


def test_a_missing_file_suggests_presets(tmp_path):
    with pytest.raises(HampredError, match="did you mean the preset generate/water"):
        load_config(GenerateConfig, "generate/watr")
    with pytest.raises(HampredError, match="There is no configuration"):
        load_config(GenerateConfig, tmp_path / "none.yaml")


@pytest.mark.parametrize("override", ["level", "=3", "geometries.5.rotate=true", "geometries.x=1", "a=[", "seed.x=1"])
def test_bad_overrides(override):
    with pytest.raises(HampredError):
        load_config(GenerateConfig, {**WATER, "seed": 1}, [override])
