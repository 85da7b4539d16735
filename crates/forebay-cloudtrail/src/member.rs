//! The members that are known by name, and what the flattened view calls them.

use crate::event::Event;
use crate::text::Text;

/// An object whose members are looked at one by one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Scope {
    Record,
    UserIdentity,
    SessionContext,
    Attributes,
    SessionIssuer,
    WebIdFederationData,
    OnBehalfOf,
    InScopeOf,
    ResponseElements,
    Addendum,
    TlsDetails,
    InsightDetails,
    TimeWindow,
}

impl Scope {
    pub(crate) const COUNT: usize = Self::TimeWindow as usize + 1;

    /// What the names of further members of this object begin with in the flattened view.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Record => "",
            Self::UserIdentity => "user",
            Self::SessionContext | Self::Attributes => "user_session",
            Self::SessionIssuer => "session_issuer_user",
            Self::WebIdFederationData => "user_session_web_id_federation_data",
            Self::OnBehalfOf => "user_on_behalf_of",
            Self::InScopeOf => "user_in_scope_of",
            Self::ResponseElements => "response_elements",
            Self::Addendum => "addendum",
            Self::TlsDetails => "tls",
            Self::InsightDetails => "insight",
            Self::TimeWindow => "window",
        }
    }
}

/// How the flattened view shows a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shown {
    /// Scalars as text, structures as JSON text.
    Text,
    /// `true` and `false`, in whatever JSON type they come.
    Flag,
    /// The timestamp; as text only when it cannot be read.
    Time,
    /// Part of `user_name`.
    UserName,
    /// The issuer's part of `user_name`.
    IssuerName,
    /// `user_session_mfa_authenticated`, which is there whenever its object is.
    Mfa,
    /// `full_message`.
    Request,
    /// The members the plugin picks, and the whole when there are others.
    Response,
    /// The plugin's bracket text.
    Bracket,
    /// Nothing by itself: its members are shown.
    Opened,
}

macro_rules! members {
    ($( $scope:ident { $( $(#[$doc:meta])* $getter:ident $known:ident $json:literal => $field:literal, $shown:ident $(-> $opens:ident)?; )* } )*) => {
        /// A member with a name of its own.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[repr(u8)]
        pub(crate) enum Known { $($( $known, )*)* }

        impl Known {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[ $($( Self::$known, )*)* ];
        }

        /// By position.
        static DETAILS: [Details; Known::ALL.len()] = [ $($( Details {
            scope: Scope::$scope,
            name: $json,
            written: concat!("\"", $json, "\":"),
            field: $field,
            shown: Shown::$shown,
            opens: opened!($($opens)?),
        }, )*)* ];

        /// Every documented member by name. `None` if it is absent or null; any JSON type is taken as text.
        impl<'a> Event<'a> {
            $($(
                $(#[$doc])*
                #[must_use]
                pub fn $getter(&self) -> Option<Text<'a>> {
                    self.text(Known::$known)
                }
            )*)*
        }
    };
}

macro_rules! opened {
    () => {
        None
    };
    ($scope:ident) => {
        Some(Scope::$scope)
    };
}

// Field names up to 7.x of the plugin are fixed; all others follow docs/decisions/0011-cloudtrail-extra-fields.md, and a
// test below compares them with the rule.
members! {
    Record {
        /// `eventVersion`, "major.minor". Compare the parts as integers: 1.10 is newer than 1.09.
        event_version EventVersion "eventVersion" => "event_version", Text;
        /// `eventTime`, RFC 3339 in UTC. See [`timestamp_millis`](Event::timestamp_millis).
        event_time EventTime "eventTime" => "event_time", Time;
        /// `userIdentity` as JSON text.
        user_identity UserIdentity "userIdentity" => "user_identity", Opened -> UserIdentity;
        /// `eventSource`, such as `ec2.amazonaws.com`.
        event_source EventSource "eventSource" => "event_source", Text;
        /// `eventName`, the API action or the event's name.
        event_name EventName "eventName" => "event_name", Text;
        /// `awsRegion`.
        aws_region AwsRegion "awsRegion" => "aws_region", Text;
        /// `sourceIPAddress`: an address, the DNS name of a service, or `AWS Internal`.
        source_ip_address SourceIpAddress "sourceIPAddress" => "source_address", Text;
        /// `userAgent`.
        user_agent UserAgent "userAgent" => "user_agent", Text;
        /// `errorCode`, only on failure.
        error_code ErrorCode "errorCode" => "error_code", Text;
        /// `errorMessage`, only on failure.
        error_message ErrorMessage "errorMessage" => "errorMessage", Text;
        /// `requestParameters` as JSON text.
        request_parameters RequestParameters "requestParameters" => "request_parameters", Request;
        /// `responseElements` as JSON text.
        response_elements ResponseElements "responseElements" => "response_elements", Response -> ResponseElements;
        /// `additionalEventData` as JSON text.
        additional_event_data AdditionalEventData "additionalEventData" => "additional_event_data", Bracket;
        /// `requestID`.
        request_id RequestId "requestID" => "request_id", Text;
        /// `eventID`, unique per event; the key to find duplicates by.
        event_id EventId "eventID" => "event_id", Text;
        /// `eventId`, as aggregated events spell it.
        aggregated_event_id AggregatedEventId "eventId" => "event_id", Text;
        /// `eventType`, such as `AwsApiCall`.
        event_type EventType "eventType" => "event_type", Text;
        /// `apiVersion`.
        api_version ApiVersion "apiVersion" => "api_version", Text;
        /// `managementEvent`.
        management_event ManagementEvent "managementEvent" => "management_event", Flag;
        /// `readOnly`; a string in some old records.
        read_only ReadOnly "readOnly" => "read_only", Flag;
        /// `resources` as JSON text.
        resources Resources "resources" => "resources", Text;
        /// `recipientAccountId`.
        recipient_account_id RecipientAccountId "recipientAccountId" => "recipient_account_id", Text;
        /// `serviceEventDetails` as JSON text.
        service_event_details ServiceEventDetails "serviceEventDetails" => "service_event_details", Text;
        /// `sharedEventID`, the same for the copies that several accounts get.
        shared_event_id SharedEventId "sharedEventID" => "shared_event_id", Text;
        /// `vpcEndpointId`.
        vpc_endpoint_id VpcEndpointId "vpcEndpointId" => "vpc_endpoint_id", Text;
        /// `vpcEndpointAccountId`.
        vpc_endpoint_account_id VpcEndpointAccountId "vpcEndpointAccountId" => "vpc_endpoint_account_id", Text;
        /// `eventCategory`: `Management`, `Data`, `NetworkActivity`, `Insight`, `Aggregated`.
        event_category EventCategory "eventCategory" => "event_category", Text;
        /// `addendum` as JSON text: why the event came late or changed.
        addendum Addendum "addendum" => "addendum", Opened -> Addendum;
        /// `sessionCredentialFromConsole`.
        session_credential_from_console SessionCredentialFromConsole "sessionCredentialFromConsole" => "session_credential_from_console", Text;
        /// `eventContext` as JSON text.
        event_context EventContext "eventContext" => "event_context", Text;
        /// `edgeDeviceDetails` as JSON text.
        edge_device_details EdgeDeviceDetails "edgeDeviceDetails" => "edge_device_details", Text;
        /// `tlsDetails` as JSON text.
        tls_details TlsDetails "tlsDetails" => "tls_details", Opened -> TlsDetails;
        /// `insightDetails` as JSON text.
        insight_details InsightDetails "insightDetails" => "insight_details", Opened -> InsightDetails;
        /// `annotation`.
        annotation Annotation "annotation" => "annotation", Text;
        /// `accountId` of an aggregated event.
        account_id AccountId "accountId" => "account_id", Text;
        /// `timeWindow` of an aggregated event, as JSON text.
        time_window TimeWindow "timeWindow" => "time_window", Opened -> TimeWindow;
        /// `summary` of an aggregated event, as JSON text.
        summary Summary "summary" => "summary", Text;
    }
    UserIdentity {
        /// `userIdentity.type`; missing in some service events.
        user_type UserType "type" => "user_type", Text;
        /// `userIdentity.userName`.
        user_name UserName "userName" => "user_name", UserName;
        /// `userIdentity.principalId`.
        user_principal_id UserPrincipalId "principalId" => "user_principal_id", Text;
        /// `userIdentity.arn`.
        user_arn UserArn "arn" => "user_principal_arn", Text;
        /// `userIdentity.accountId`.
        user_account_id UserAccountId "accountId" => "user_account_id", Text;
        /// `userIdentity.accessKeyId`; may be empty.
        user_access_key_id UserAccessKeyId "accessKeyId" => "user_access_key_id", Text;
        /// `userIdentity.invokedBy`.
        user_invoked_by UserInvokedBy "invokedBy" => "user_invoked_by", Text;
        /// `userIdentity.sessionContext` as JSON text.
        session_context SessionContext "sessionContext" => "user_session_context", Opened -> SessionContext;
        /// `userIdentity.identityProvider`.
        identity_provider IdentityProvider "identityProvider" => "user_identity_provider", Text;
        /// `userIdentity.credentialId`.
        credential_id CredentialId "credentialId" => "user_credential_id", Text;
        /// `userIdentity.userId` of Identity Center users.
        user_id UserId "userId" => "user_id", Text;
        /// `userIdentity.identityStoreArn` of Identity Center users.
        identity_store_arn IdentityStoreArn "identityStoreArn" => "user_identity_store_arn", Text;
        /// `userIdentity.onBehalfOf` as JSON text.
        on_behalf_of OnBehalfOf "onBehalfOf" => "user_on_behalf_of", Opened -> OnBehalfOf;
        /// `userIdentity.inScopeOf` as JSON text.
        in_scope_of InScopeOf "inScopeOf" => "user_in_scope_of", Opened -> InScopeOf;
    }
    SessionContext {
        /// `sessionContext.attributes` as JSON text.
        session_attributes SessionAttributes "attributes" => "user_session_attributes", Opened -> Attributes;
        /// `sessionContext.sessionIssuer` as JSON text; may be an empty object.
        session_issuer SessionIssuer "sessionIssuer" => "user_session_issuer", Opened -> SessionIssuer;
        /// `sessionContext.webIdFederationData` as JSON text; may be an empty object.
        web_id_federation_data WebIdFederationData "webIdFederationData" => "user_session_web_id_federation_data", Opened -> WebIdFederationData;
        /// `sessionContext.sourceIdentity`.
        source_identity SourceIdentity "sourceIdentity" => "user_session_source_identity", Text;
        /// `sessionContext.ec2RoleDelivery`: `1.0` or `2.0`.
        ec2_role_delivery Ec2RoleDelivery "ec2RoleDelivery" => "user_session_ec2_role_delivery", Text;
        /// `sessionContext.assumedRoot`.
        assumed_root AssumedRoot "assumedRoot" => "user_session_assumed_root", Text;
    }
    Attributes {
        /// `sessionContext.attributes.creationDate`.
        session_creation_date SessionCreationDate "creationDate" => "user_session_creation_date", Text;
        /// `sessionContext.attributes.mfaAuthenticated`, the text `true` or `false`.
        mfa_authenticated MfaAuthenticated "mfaAuthenticated" => "user_session_mfa_authenticated", Mfa;
    }
    SessionIssuer {
        /// `sessionIssuer.type`.
        session_issuer_type SessionIssuerType "type" => "session_issuer_user_type", Text;
        /// `sessionIssuer.principalId`.
        session_issuer_principal_id SessionIssuerPrincipalId "principalId" => "session_issuer_user_principal_id", Text;
        /// `sessionIssuer.arn`.
        session_issuer_arn SessionIssuerArn "arn" => "session_issuer_user_principal_arn", Text;
        /// `sessionIssuer.accountId`.
        session_issuer_account_id SessionIssuerAccountId "accountId" => "session_issuer_user_account_id", Text;
        /// `sessionIssuer.userName`.
        session_issuer_user_name SessionIssuerUserName "userName" => "session_issuer_user_name", IssuerName;
    }
    WebIdFederationData {
        /// `webIdFederationData.federatedProvider`.
        federated_provider FederatedProvider "federatedProvider" => "user_session_web_id_federation_data_federated_provider", Text;
    }
    OnBehalfOf {
        /// `onBehalfOf.userId`.
        on_behalf_of_user_id OnBehalfOfUserId "userId" => "user_on_behalf_of_user_id", Text;
    }
    InScopeOf {
        /// `inScopeOf.sourceArn`.
        in_scope_of_source_arn InScopeOfSourceArn "sourceArn" => "user_in_scope_of_source_arn", Text;
    }
    ResponseElements {
        /// `responseElements.RenewRole`.
        renew_role RenewRole "RenewRole" => "renewRole", Text;
        /// `responseElements.ExitRole`.
        exit_role ExitRole "ExitRole" => "exitRole", Text;
        /// `responseElements.volumeId`.
        volume_id VolumeId "volumeId" => "volumeId", Text;
        /// `responseElements.instanceId`.
        instance_id InstanceId "instanceId" => "instanceId", Text;
        /// `responseElements.device`.
        device Device "device" => "device", Text;
        /// `responseElements.ConsoleLogin`: `Success` or `Failure`.
        console_login ConsoleLogin "ConsoleLogin" => "consoleLogin", Text;
        /// `responseElements.status`.
        status Status "status" => "status", Text;
        /// `responseElements._return`.
        return_value ReturnValue "_return" => "returnValue", Text;
    }
    Addendum {
        /// `addendum.reason`.
        addendum_reason AddendumReason "reason" => "addendum_reason", Text;
    }
    TlsDetails {
        /// `tlsDetails.tlsVersion`.
        tls_version TlsVersion "tlsVersion" => "tls_version", Text;
        /// `tlsDetails.cipherSuite`.
        tls_cipher_suite TlsCipherSuite "cipherSuite" => "tls_cipher_suite", Text;
        /// `tlsDetails.clientProvidedHostHeader`.
        tls_client_provided_host_header TlsClientProvidedHostHeader "clientProvidedHostHeader" => "tls_client_provided_host_header", Text;
        /// `tlsDetails.keyExchange`.
        tls_key_exchange TlsKeyExchange "keyExchange" => "tls_key_exchange", Text;
    }
    InsightDetails {
        /// `insightDetails.state`: `Start` or `End`.
        insight_state InsightState "state" => "insight_state", Text;
        /// `insightDetails.eventSource`.
        insight_event_source InsightEventSource "eventSource" => "insight_event_source", Text;
        /// `insightDetails.eventName`.
        insight_event_name InsightEventName "eventName" => "insight_event_name", Text;
        /// `insightDetails.insightType`.
        insight_type InsightType "insightType" => "insight_type", Text;
        /// `insightDetails.errorCode`.
        insight_error_code InsightErrorCode "errorCode" => "insight_error_code", Text;
        /// `insightDetails.insightContext` as JSON text.
        insight_context InsightContext "insightContext" => "insight_context", Text;
    }
    TimeWindow {
        /// `timeWindow.windowStart`.
        window_start WindowStart "windowStart" => "window_start", Text;
        /// `timeWindow.windowEnd`.
        window_end WindowEnd "windowEnd" => "window_end", Text;
        /// `timeWindow.windowSize`, such as `PT5M`.
        window_size WindowSize "windowSize" => "window_size", Text;
    }
}

/// What there is to know about a member.
#[derive(Debug)]
pub(crate) struct Details {
    /// The object that it is a member of.
    pub(crate) scope: Scope,
    /// Its name in that object.
    pub(crate) name: &'static str,
    /// The name as it stands in a record, with the quotes and the colon.
    pub(crate) written: &'static str,
    /// Its field in the flattened view.
    pub(crate) field: &'static str,
    /// How the flattened view shows it.
    pub(crate) shown: Shown,
    /// The object whose members are looked at one by one.
    pub(crate) opens: Option<Scope>,
}

impl Known {
    #[inline]
    pub(crate) const fn details(self) -> &'static Details {
        &DETAILS[self as usize]
    }

    /// The member called `key` in `scope`.
    #[inline]
    pub(crate) fn find(scope: Scope, key: &[u8]) -> Option<Self> {
        let mut slot = hash(scope, key);
        loop {
            let known = *Self::ALL.get(usize::from(*TABLE.get(slot % SLOTS)?))?;
            let details = known.details();
            if details.name.as_bytes() == key && details.scope as u8 == scope as u8 {
                return Some(known);
            }
            slot += 1;
        }
    }
}

/// Spreads names by their length and three of their letters: names of one scope rarely share all four.
const fn hash(scope: Scope, key: &[u8]) -> usize {
    match key {
        [] => 0,
        [first, .., last] => {
            let middle = key[key.len() / 2];
            (*first as usize * 7
                + *last as usize * 29
                + middle as usize * 3
                + key.len() * 61
                + scope as usize * 101)
                % SLOTS
        }
        [only] => *only as usize % SLOTS,
    }
}

const SLOTS: usize = 512;
const FREE: u8 = u8::MAX;

/// Positions in [`Known::ALL`] by hash, the next slot taken where two meet. Made when this is compiled.
static TABLE: [u8; SLOTS] = {
    let mut table = [FREE; SLOTS];
    let mut position = 0;
    while position < Known::ALL.len() {
        let details = &DETAILS[position];
        let mut slot = hash(details.scope, details.name.as_bytes()) % SLOTS;
        while table[slot] != FREE {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = position as u8;
        position += 1;
    }
    assert!(Known::ALL.len() < FREE as usize, "positions fit a byte");
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_is_found_in_its_scope_and_nowhere_else() {
        for known in Known::ALL {
            let details = known.details();
            assert_eq!(
                Known::find(details.scope, details.name.as_bytes()),
                Some(*known)
            );
        }
        for name in [
            "",
            "x",
            "eventname",
            "eventNam",
            "eventNamee",
            "sessionIssuer",
            "tlsVersion",
        ] {
            assert_eq!(Known::find(Scope::Record, name.as_bytes()), None, "{name}");
        }
    }
}
