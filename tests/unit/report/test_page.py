"""The drill report as a page: what it says first, what it never hides, and that no text becomes a tag."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.drill_examples import DATA, FAILED, FILES, PASSED, UNSURE

from rlg_backup.core.model import Check, Excluded, Verdict
from rlg_backup.report import DrillReport, render_html
from rlg_backup.report.markup import Markup, element

VOID = {"meta", "rect", "path", "circle"}


class Page(HTMLParser):
    """Reads a page strictly: every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title") and data.strip():
            self.texts.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize(
    ("report", "label"),
    [(PASSED, "PASS"), (FAILED, "FAIL"), (UNSURE, "COULD NOT VERIFY")],
    ids=["pass", "fail", "unsure"],
)
def test_the_verdict_is_the_first_thing_after_the_title_in_words_and_as_a_sign(report: DrillReport, label: str) -> None:
    text = render_html(report)
    assert Page(text).texts[:3] == ["RLG Backup · drill report", report.title, label]
    first = text[text.index('aria-label="Verdict"') :]
    assert first.index("<svg") < first.index("<strong>")
    assert f"<title>{label} · {report.title}</title>" in text


def test_a_source_without_a_check_makes_the_whole_could_not_verify_whatever_was_declared() -> None:
    assert UNSURE.verdict is Verdict.PASS
    assert UNSURE.judged is Verdict.COULD_NOT_VERIFY
    assert "nothing was checked" in Page(render_html(UNSURE)).texts


def test_a_failed_check_is_never_hidden_by_a_declared_pass() -> None:
    assert replace(FAILED, verdict=Verdict.PASS).judged is Verdict.FAIL


@pytest.mark.parametrize(("declared", "shown"), [("PASS", "COULD-NOT-VERIFY"), ("FAIL", "FAIL")])
def test_a_report_without_a_source_is_never_a_pass(declared: str, shown: str) -> None:
    assert replace(PASSED, sources=(), verdict=Verdict(declared)).judged is Verdict(shown)


def test_the_summary_counts_every_verdict() -> None:
    summary = next(text for text in Page(render_html(FAILED)).texts if text.startswith("On "))
    assert summary == (
        "On 1 December 2026, 04:00 UTC the backups of rlg_data and rlg_files were drilled: restored into a scratch "
        "place and compared with what was there at the snapshot. Of 10 checks 7 passed, 2 failed, and 1 could not be "
        "carried out. It took 1 min 12 s."
    )


def test_every_fact_of_a_source_is_shown() -> None:
    texts = " ".join(Page(render_html(FAILED)).texts)
    for fact in (
        DATA.backup_id, "(full)", "29 November 2026, 02:00 UTC", DATA.target, DATA.manifest_sha256, DATA.signer,
        "31 tables, 64,212 rows, 48.2 MB", "masked for ever: accounts.signup_ip", "20261129T023000Z-51c0aa17 › ",
        "sqlite_stat1: statistics of the planner, made again by ANALYZE", FILES.warnings[0], FAILED.warnings[0],
        "opened with the escrow keys", "Written by RLG Backup 0.1.0.", "decrypt and load",
    ):  # fmt: skip
        assert fact in texts, fact


def test_every_check_is_shown_with_measured_expected_and_time_and_those_that_did_not_pass_come_first() -> None:
    checks = (
        Check("prices", "b passes", Verdict.PASS, "measured b", "expected b", 0.5),
        Check("prices", "c unsure", Verdict.COULD_NOT_VERIFY, "measured c", "expected c", 61.0),
        Check("prices", "a fails", Verdict.FAIL, "measured a", "expected a", 2.0),
    )
    text = render_html(replace(PASSED, sources=(replace(DATA, checks=checks),)))
    texts = Page(text[text.index("<h3>Checks</h3>") :].partition("</table>")[0] + "</table></div>").texts
    assert texts[1:] == [
        "Verdict", "Check", "Measured", "Expected", "Time",
        "prices", "· 1 failed, 1 not verified, 1 passed",
        "FAIL", "a fails", "measured a", "expected a", "2.0 s",
        "COULD NOT VERIFY", "c unsure", "measured c", "expected c", "1 min 1 s",
        "PASS", "b passes", "measured b", "expected b", "500 ms",
    ]  # fmt: skip


def test_a_region_whose_rows_differ_says_so_in_words() -> None:
    texts = Page(render_html(FAILED)).texts
    assert texts[texts.index("special") :][:3] == ["special", "96", "95 (differs)"]
    assert texts[texts.index("europe") :][:3] == ["europe", "1,480", "1,480"]
    assert "without a region" in texts


def test_regions_that_were_not_counted_again_show_the_snapshot_alone() -> None:
    page = Page(render_html(replace(PASSED, sources=(replace(DATA, regions_restored=None),))))
    assert "Restored" not in page.texts[page.texts.index("Rows by region") :]


def test_next_steps_stand_on_every_page_that_is_not_a_pass_and_on_no_other() -> None:
    assert "What to do next" not in Page(render_html(PASSED)).texts
    assert "What to do next" in Page(render_html(FAILED)).texts
    assert "What to do next" in Page(render_html(UNSURE)).texts
    own = Page(render_html(replace(FAILED, next_steps=("Call the owner of the prices.",)))).texts
    assert own[own.index("What to do next") + 1] == "Call the owner of the prices."
    assert own[own.index("What to do next") + 2] == "What failed"


def test_a_source_of_which_nothing_was_restored_shows_no_made_up_facts() -> None:
    nothing = replace(DATA, backup_id="", checks=(Check("restore", "latest backup", Verdict.FAIL, "gone"),))
    text = render_html(replace(FAILED, sources=(nothing,)))
    assert "No backup of this source was restored." in text
    assert DATA.manifest_sha256 not in text


def test_the_page_needs_nothing_outside_itself() -> None:
    text = render_html(FAILED)
    page = Page(text)
    assert not re.search(r"https?:|url\(|@import|//[a-z]", text)
    assert {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "a", "base", "form"} == set()
    assert all("src" not in attributes and "href" not in attributes for _, attributes in page.tags)


def test_the_page_can_be_read_by_a_screen_reader() -> None:
    page = Page(render_html(FAILED))
    assert page.all("html") == [{"lang": "en"}]
    assert all(attributes.get("scope") in ("col", "row", "rowgroup") for attributes in page.all("th"))
    assert all(attributes.get("aria-hidden") == "true" for attributes in page.all("svg"))
    assert len(page.all("h1")) == len(page.all("main")) == 1


def test_colours_have_enough_contrast_in_light_and_in_dark() -> None:
    style = render_html(PASSED).partition("</style>")[0]
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", part)) for part in style.split("@media", 2)[:2])
    for colours in (light, dark):
        for verdict in ("pass", "fail", "unverified"):
            assert contrast(colours[verdict], colours[f"{verdict}-ground"]) >= 4.5
            assert contrast(colours["ink"], colours[f"{verdict}-ground"]) >= 7
        assert contrast(colours["soft"], colours["ground"]) >= 4.5
        assert contrast(colours["soft"], colours["paper"]) >= 4.5


def contrast(one: str, other: str) -> float:
    """WCAG 2.1, relative luminance."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


# --- no text becomes a tag ------------------------------------------------------------------------

HOSTILE = st.one_of(
    st.sampled_from(
        ["<script>alert(1)</script>", '"><img src=x onerror=y>', "</style><b>", "$body ${title} $$", "\x00\x1b", "&lt;"]
    ),
    st.text(max_size=12),
)
PLACES: list[Callable[[str], DrillReport]] = [
    lambda text: replace(FAILED, title=text),
    lambda text: replace(FAILED, engine=text, identities=text, warnings=(text,), next_steps=(text,)),
    lambda text: replace(FAILED, sources=(replace(DATA, source=text, target=text, signer=text, chain=(text, text)),)),
    lambda text: replace(FAILED, sources=(replace(DATA, regions={text: 3}, timings={text: 1.0}, restored={text: 2}),)),
    lambda text: replace(FAILED, sources=(replace(DATA, excluded=(Excluded(text, text),), warnings=(text,)),)),
    lambda text: replace(FAILED, sources=(replace(DATA, checks=(Check(text, text, Verdict.FAIL, text, text),)),)),
]


@settings(max_examples=60, deadline=None)
@given(text=HOSTILE, place=st.sampled_from(PLACES))
def test_no_text_changes_the_tags_of_the_page(text: str, place: Callable[[str], DrillReport]) -> None:
    """The same report with a harmless text has the same tags, and both are closed in order."""
    harmless = Page(render_html(place("x" if text else "")))
    assert [tag for tag, _ in Page(render_html(place(text))).tags] == [tag for tag, _ in harmless.tags]


def test_characters_that_turn_a_text_around_are_shown_as_unprintable() -> None:
    assert element("p", "invoice\u202egnp.exe", "\x07") == "<p>invoice�gnp.exe�</p>"


def test_attributes_are_escaped_and_markup_is_not_escaped_twice() -> None:
    inner = element("b", "a & b")
    assert element("p", inner, None, ["<", Markup("<br/>")], title='"x"', cls=None) == (
        '<p title="&quot;x&quot;"><b>a &amp; b</b>&lt;<br/></p>'
    )
