from __future__ import annotations

from ownerd.model.terms import PURPOSES, Terms

# Every purpose of DPV 2.0 (https://w3id.org/dpv/2.0, module purposes) but the root, Purpose itself.
DPV_2 = """
    AcademicResearch AccountManagement Advertising AgeVerification CombatClimateChange CommercialPurpose
    CommercialResearch CommunicationForCustomerCare CommunicationManagement CounterMoneyLaundering
    Counterterrorism CreditChecking CustomerCare CustomerClaimsManagement CustomerManagement
    CustomerOrderManagement CustomerRelationshipManagement CustomerSolvencyMonitoring DataAltruism
    DeliveryOfGoods DirectMarketing DisputeManagement EnforceAccessControl EnforceSecurity
    EstablishContractualAgreement FraudPreventionAndDetection FulfilmentOfContractualObligation
    FulfilmentOfObligation HumanResourceManagement IdentityAuthentication IdentityVerification
    ImproveExistingProductsAndServices ImproveHealthcare ImproveInternalCRMProcesses ImprovePublicServices
    ImproveTransportMobility IncreaseServiceRobustness InternalResourceOptimisation LegalCompliance
    MaintainCreditCheckingDatabase MaintainCreditRatingDatabase MaintainFraudDatabase Marketing
    MemberPartnerManagement MisusePreventionAndDetection NonCommercialPurpose NonCommercialResearch
    OptimisationForConsumer OptimisationForController OptimiseUserInterface
    OrganisationComplianceManagement OrganisationGovernance OrganisationRiskManagement PaymentManagement
    Personalisation PersonalisedAdvertising PersonalisedBenefits PersonnelHiring PersonnelManagement
    PersonnelPayment ProtectionOfIPR ProtectionOfNationalSecurity ProtectionOfPublicSecurity
    ProvideEventRecommendations ProvideOfficialStatistics ProvidePersonalisedRecommendations
    ProvideProductRecommendations PublicBenefit PublicPolicyMaking PublicRelations RecordManagement
    RepairImpairments RequestedServiceProvision ResearchAndDevelopment RightsFulfillment ScientificResearch
    SearchFunctionalities SellDataToThirdParties SellInsightsFromData SellProducts SellProductsToDataSubject
    ServiceOptimisation ServicePersonalisation ServiceProvision ServiceRegistration ServiceUsageAnalytics
    SocialMediaMarketing TargetedAdvertising TechnicalServiceProvision UserInterfacePersonalisation
    VendorManagement VendorPayment VendorRecordsManagement VendorSelectionAssessment Verification
"""


def test_purposes_are_terms_of_dpv_2():
    assert PURPOSES.keys() <= {f"dpv:{name}" for name in DPV_2.split()}


def test_plain_words_are_short_and_tell_purposes_apart():
    assert all(0 < len(words) <= 40 and words[0].islower() for words in PURPOSES.values())
    assert len(set(PURPOSES.values())) == len(PURPOSES)


def test_terms_are_written_with_every_member():
    assert Terms(("dpv:Marketing",), None, ()).members() == {
        "purpose": ["dpv:Marketing"],
        "retention_days": None,
        "recipients": [],
        "agreement": None,
    }
