"""docs/POLICY.md: its examples are policies, its names are those that are understood."""

import re
from pathlib import Path

from ownerd.model.claim import DERIVED_LABELS
from ownerd.model.policy import Action, Substitute
from ownerd.model.terms import PURPOSES
from ownerd.negotiation.policy_rules import _KEYS as RULE_KEYS
from ownerd.negotiation.policy_text import MAX_LINE_CHARS, MAX_RULES, parse_policy

PAGE = (Path(__file__).parents[2] / "docs" / "POLICY.md").read_text()


def test_every_example_is_a_policy():
    examples = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    whole, part = (parse_policy(text if "version" in text else f"version = 1\n{text}") for text in examples)
    assert [rule.action for rule in whole.rules] == [
        Action.SUBSTITUTE,
        Action.GRANT,
        Action.SUBSTITUTE,
        Action.REFUSE,
    ]
    assert [rule.action for rule in part.rules] == [Action.ALLOW, Action.REFUSE]


def test_every_purpose_stands_there_with_its_words():
    table = PAGE.partition("<!-- purposes -->")[2].partition("<!-- /purposes -->")[0]
    assert dict(re.findall(r"^\| `(dpv:\w+)` \| (.+) \|$", table, re.MULTILINE)) == PURPOSES


def test_every_key_and_word_stands_there():
    words = [
        *RULE_KEYS,
        *Action,
        *DERIVED_LABELS,
        "mailbox",
        "domain",
        "retention",
        "recipients",
        "agreement",
    ]
    assert [word for word in words if not re.search(rf"`{word}`|`{word} = ", PAGE)] == []
    assert all(f'`with = "{word}"`' in PAGE for word in (Substitute.ALIAS, Substitute.LATER))
    assert f"{MAX_RULES} rules, and {MAX_LINE_CHARS:,} characters in a line" in PAGE
