"""Terms: why data is asked for, how long it is kept, who else gets it.

Purposes are terms of the W3C Data Privacy Vocabulary (DPV 2), written ``dpv:NAME``; `PURPOSES` has their plain
words and is the whole of what is understood. Providers send terms in OpenID4VP ``transaction_data`` of type
`TERMS_TYPE` (`ownerd.credential.transaction_data`); owners write theirs in their policy (`ownerd.negotiation.policy`).
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from ownerd.model.encoding import Json

TERMS_TYPE: Final = "urn:ownerd:terms:1"

PURPOSES: Final[dict[str, str]] = {
    "dpv:AccountManagement": "manage your account",
    "dpv:AgeVerification": "check your age",
    "dpv:Advertising": "advertising",
    "dpv:CommunicationManagement": "write to you",
    "dpv:CreditChecking": "check your credit",
    "dpv:CustomerCare": "customer care",
    "dpv:CustomerOrderManagement": "handle your order",
    "dpv:DeliveryOfGoods": "deliver goods to you",
    "dpv:DirectMarketing": "direct marketing",
    "dpv:FraudPreventionAndDetection": "prevent and find fraud",
    "dpv:FulfilmentOfContractualObligation": "fulfil a contract with you",
    "dpv:FulfilmentOfObligation": "fulfil an obligation",
    "dpv:IdentityAuthentication": "log you in",
    "dpv:IdentityVerification": "check who you are",
    "dpv:LegalCompliance": "comply with the law",
    "dpv:Marketing": "marketing",
    "dpv:PaymentManagement": "handle payment",
    "dpv:Personalisation": "personalise what you see",
    "dpv:PersonalisedAdvertising": "advertising that depends on you",
    "dpv:PublicRelations": "public relations",
    "dpv:RequestedServiceProvision": "provide the service you asked for",
    "dpv:ResearchAndDevelopment": "research and development",
    "dpv:SellDataToThirdParties": "sell your data to others",
    "dpv:ServiceOptimisation": "improve their service",
    "dpv:ServicePersonalisation": "personalise the service",
    "dpv:ServiceProvision": "provide a service",
    "dpv:ServiceRegistration": "register you for a service",
    "dpv:ServiceUsageAnalytics": "analyse how you use the service",
    "dpv:TargetedAdvertising": "advertising aimed at you",
}


class Terms(Struct, frozen=True):
    """Terms of use. ``retention_days`` None: without limit. ``recipients`` are names of third parties; empty: none.

    ``agreement`` is a URI of a roster agreement (IEEE 7012), or None.
    """

    purposes: tuple[str, ...]
    retention_days: int | None
    recipients: tuple[str, ...]
    agreement: str | None = None

    def members(self) -> dict[str, Json]:
        """The terms as statements, offers and answers write them."""
        return {
            "purpose": list(self.purposes),
            "retention_days": self.retention_days,
            "recipients": list(self.recipients),
            "agreement": self.agreement,
        }


class AskedTerms(Struct, frozen=True):
    """A provider's terms: ``credentials`` are the query ids they belong to, ``encoded`` the string that is hashed."""

    terms: Terms
    credentials: tuple[str, ...]
    encoded: str
