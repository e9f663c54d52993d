from smartgrid_pipeline.core.evaluation import style
from smartgrid_pipeline.core.schema import EXPERT_NAMES, MODEL_NAMES, REFERENCE_NAMES


def test_every_model__has_a_display_name_and_a_colour() -> None:
    assert {*MODEL_NAMES, *REFERENCE_NAMES} <= set(style.LABELS)
    assert style.label("some_peer") == "some peer"
    assert {style.colour(name) for name in EXPERT_NAMES} == {style.EXPERT}
    assert style.colour("persistence") == style.REFERENCE != style.colour("mixture_of_experts")


def test_figure__is_the_same_svg_twice_and_hides_unused_panels() -> None:
    texts = []
    for _ in range(2):
        figure, panels = style.canvas(1, 2, 4, 2)
        style.title(panels[0], "Title")
        style.axis_labels(panels[0], "hour", "kW")
        style.hide_rest(panels, 1)
        texts.append(style.svg(figure))
        assert [axes.get_visible() for axes in panels] == [True, False]
    assert texts[0] == texts[1] and texts[0].startswith("<?xml")
