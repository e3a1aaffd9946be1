"""Small queries, catalogues and policies of every kind, for properties of negotiation."""

from hypothesis import strategies as st
from tests.rigs.negotiating import (
    CLAIMED,
    KNOWN,
    PINNED,
    SHOP,
    TODAY,
    VALUES,
    ask,
    catalogue,
    credential,
    policy,
    request,
)

from ownerd.model.query import CredentialSet
from ownerd.negotiation.negotiate import negotiate


def sets_of(*options, required=True):
    return CredentialSet(tuple(tuple(option) for option in options), required)


POOL = [
    "email",
    "given_name",
    "phone_number",
    "birthdate",
    "age_over_18",
    "address",
    "address.country",
    "gender",
]
RULES = [
    '[[rule]]\nclaims = ["email"]\ndo = "refuse"\n',
    '[[rule]]\nclaims = ["phone_number"]\ndo = "substitute"\nwith = "email"\n',
    '[[rule]]\nclaims = ["birthdate"]\ndo = "substitute"\nwith = "age_over_18"\n',
    '[[rule]]\nclaims = ["address.*"]\ndo = "substitute"\nwith = "later"\n',
    '[[rule]]\nprovider = "shop.example"\nclaims = ["email"]\ndo = "substitute"\nwith = "alias"\n',
    '[[rule]]\nprovider = "shop.example"\nclaims = ["given_name"]\ndo = "substitute"\nvalue = "X"\n',
    '[[rule]]\nclaims = ["email"]\ndo = "substitute"\nwith = "alias"\n',
    '[[rule]]\nclaims = ["address.country", "given_name"]\ndo = "refuse"\n',
    """[[rule]]
provider = "shop.example"
claims = ["email", "given_name", "age_over_18"]
do = "grant"
days = 1
count = 1
per_hour = 1
""",
]


@st.composite
def credentials(draw, query_id):
    paths = draw(st.lists(st.sampled_from(POOL), min_size=1, max_size=4, unique=True))
    claims = [
        ask(path, *draw(st.sampled_from([(), (), (), (True,), ("Ada",)])), claim_id=str(number))
        for number, path in enumerate(paths)
    ]
    ids = st.lists(st.sampled_from([one.id for one in claims]), min_size=1, max_size=4, unique=True)
    return credential(
        *claims, query_id=query_id, claim_sets=[tuple(one) for one in draw(st.lists(ids, max_size=3))]
    )


@st.composite
def situations(draw):
    ids = [str(number) for number in range(draw(st.integers(1, 3)))]
    options = st.lists(
        st.lists(st.sampled_from(ids), min_size=1, max_size=2, unique=True), min_size=1, max_size=3
    )
    sets = [
        sets_of(*one, required=required)
        for one, required in draw(st.lists(st.tuples(options, st.booleans()), max_size=2))
    ]
    provider = draw(st.sampled_from([SHOP, PINNED, CLAIMED]))
    text = '[alias]\nmailbox = "me@example.org"\n' + "".join(
        draw(st.lists(st.sampled_from(RULES), max_size=5))
    )
    held = {name: VALUES[name] for name in VALUES if draw(st.integers(0, 3))}
    without = draw(st.lists(st.sampled_from([*POOL, "address.locality"]), max_size=2))
    made = request(*(draw(credentials(one)) for one in ids), provider=provider, sets=sets)
    return made, held, text, without


def negotiated(made, held, text, without):
    asker = KNOWN  # even a claimed one that a careless caller calls known
    return negotiate(made, catalogue(held), policy(text), asker, today=TODAY, without=without)
