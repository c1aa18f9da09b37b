//! Every directive of the ModSecurity v3 reference manual, of ModSecurity 2.9 and of Coraza, and what becomes of it.

/// What a directive is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Read another file.
    Include { optional: bool },
    /// A rule with a condition.
    Rule,
    /// A rule without one.
    Action,
    /// What rules of a phase do by default.
    DefaultAction,
    /// Where `skipAfter` ends.
    Marker,
    /// Takes rules away or changes them.
    Update(Update),
    /// Goes to the settings.
    Setting,
    /// Has no effect in a proxy, and nothing is the less safe for it.
    Inert(&'static str),
    /// `Off` (or 0) is as things are; anything else is refused, because ignoring it could weaken protection.
    OffOnly(&'static str),
    /// Refused.
    Refused(&'static str),
}

/// What an update selects rules by, and what it does with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub(super) enum Update {
    RemoveById,
    RemoveByTag,
    RemoveByMsg,
    TargetById,
    TargetByTag,
    TargetByMsg,
    ActionById,
}

const NO_FILES: &str = "nothing of a transaction is put on a disk";
const NO_DEBUG_LOG: &str = "there is no debug log; `portcullis waf explain` shows what rules did";
const NO_HASHES: &str = "links in pages are not signed";
const ONE_LOG: &str = "the audit log is one file of JSON lines";
const CONNECTIONS: &str = "connections are limited by the proxy itself: see its timeouts and limits";
const OBSOLETE: &str = "it was taken out of ModSecurity long ago";
const NO_GEO: &str = "there is no database of places: @geoLookup never matches";

/// All of them.
const DIRECTIVES: &[(&str, Kind)] = &[
    ("Include", Kind::Include { optional: false }),
    ("IncludeOptional", Kind::Include { optional: true }),
    ("SecAction", Kind::Action),
    ("SecArgumentSeparator", Kind::Setting),
    ("SecArgumentsLimit", Kind::Setting),
    ("SecAuditEngine", Kind::Setting),
    ("SecAuditLog", Kind::Setting),
    ("SecAuditLog2", Kind::Inert(ONE_LOG)),
    ("SecAuditLogDir", Kind::Inert(ONE_LOG)),
    ("SecAuditLogDirMode", Kind::Inert(ONE_LOG)),
    ("SecAuditLogFileMode", Kind::Inert(ONE_LOG)),
    ("SecAuditLogFormat", Kind::Inert("the audit log is always JSON")),
    ("SecAuditLogParts", Kind::Setting),
    ("SecAuditLogPrefix", Kind::Inert(ONE_LOG)),
    ("SecAuditLogRelevantStatus", Kind::Setting),
    ("SecAuditLogStorageDir", Kind::Inert(ONE_LOG)),
    ("SecAuditLogType", Kind::Inert(ONE_LOG)),
    ("SecCacheTransformations", Kind::Inert("each transformation is computed at most once anyway")),
    ("SecChrootDir", Kind::Inert("rules run in a sandbox anyway")),
    ("SecCollectionTimeout", Kind::Setting),
    ("SecComponentSignature", Kind::Setting),
    ("SecConnEngine", Kind::Inert(CONNECTIONS)),
    ("SecConnReadStateLimit", Kind::OffOnly(CONNECTIONS)),
    ("SecConnWriteStateLimit", Kind::OffOnly(CONNECTIONS)),
    ("SecContentInjection", Kind::OffOnly("rules do not change bodies: use the rewrite-body plugin")),
    ("SecCookieFormat", Kind::Setting),
    ("SecCookieV0Separator", Kind::Setting),
    ("SecDataDir", Kind::Inert("persistent collections are in the proxy's own key-value state")),
    ("SecDataset", Kind::Refused("write the words in a file and use @pmFromFile")),
    ("SecDebugLog", Kind::Inert(NO_DEBUG_LOG)),
    ("SecDebugLogLevel", Kind::Inert(NO_DEBUG_LOG)),
    ("SecDefaultAction", Kind::DefaultAction),
    (
        "SecDisableBackendCompression",
        Kind::OffOnly(
            "take Accept-Encoding from requests with the headers plugin, so that responses come uncompressed",
        ),
    ),
    ("SecEncryptionEngine", Kind::OffOnly(NO_HASHES)),
    ("SecEncryptionKey", Kind::Inert(NO_HASHES)),
    ("SecEncryptionMethodPm", Kind::Inert(NO_HASHES)),
    ("SecEncryptionMethodRx", Kind::Inert(NO_HASHES)),
    ("SecEncryptionParam", Kind::Inert(NO_HASHES)),
    ("SecGeoLookupDb", Kind::Refused(NO_GEO)),
    ("SecGeoLookupsDb", Kind::Refused(NO_GEO)),
    ("SecGsbLookupDb", Kind::Refused("Google Safe Browsing is not asked")),
    ("SecGuardianLog", Kind::Refused("no other program is told of requests: use the audit log")),
    ("SecHashEngine", Kind::OffOnly(NO_HASHES)),
    ("SecHashKey", Kind::Inert(NO_HASHES)),
    ("SecHashMethodPm", Kind::Inert(NO_HASHES)),
    ("SecHashMethodRx", Kind::Inert(NO_HASHES)),
    ("SecHashParam", Kind::Inert(NO_HASHES)),
    ("SecHttpBlKey", Kind::Refused("no lists on the internet are asked: @rbl never matches")),
    (
        "SecIgnoreRuleCompilationErrors",
        Kind::OffOnly("a rule with a mistake is never skipped: correct it, or take it away with SecRuleRemoveById"),
    ),
    (
        "SecInterceptOnError",
        Kind::OffOnly("a rule that cannot be judged sets MSC_PCRE_ERROR: write a rule that denies then"),
    ),
    ("SecMarker", Kind::Marker),
    ("SecParseXmlIntoArgs", Kind::OffOnly("XML is not made into arguments: look at XML:/* and XML://@*")),
    ("SecPcreMatchLimit", Kind::Setting),
    ("SecPcreMatchLimitRecursion", Kind::Inert("patterns do not recurse: SecPcreMatchLimit is the limit")),
    ("SecPdfProtect", Kind::OffOnly(OBSOLETE)),
    ("SecPdfProtectInterceptGETOnly", Kind::Inert(OBSOLETE)),
    ("SecPdfProtectMethod", Kind::Inert(OBSOLETE)),
    ("SecPdfProtectSecret", Kind::Inert(OBSOLETE)),
    ("SecPdfProtectTimeout", Kind::Inert(OBSOLETE)),
    ("SecPdfProtectTokenName", Kind::Inert(OBSOLETE)),
    ("SecReadStateLimit", Kind::OffOnly(CONNECTIONS)),
    ("SecRemoteRules", Kind::Refused("rules are not fetched while loading: keep them in a file and include it")),
    ("SecRemoteRulesFailAction", Kind::Inert("rules are not fetched from anywhere")),
    ("SecRequestBodyAccess", Kind::Setting),
    ("SecRequestBodyInMemoryLimit", Kind::Inert(NO_FILES)),
    ("SecRequestBodyJsonDepthLimit", Kind::Setting),
    ("SecRequestBodyLimit", Kind::Setting),
    ("SecRequestBodyLimitAction", Kind::Setting),
    ("SecRequestBodyNoFilesLimit", Kind::Setting),
    ("SecRequestEncoding", Kind::Refused(OBSOLETE)),
    ("SecResponseBodyAccess", Kind::Setting),
    ("SecResponseBodyLimit", Kind::Setting),
    ("SecResponseBodyLimitAction", Kind::Setting),
    ("SecResponseBodyMimeType", Kind::Setting),
    ("SecResponseBodyMimeTypesClear", Kind::Setting),
    ("SecRule", Kind::Rule),
    ("SecRuleEngine", Kind::Setting),
    (
        "SecRuleInheritance",
        Kind::Refused("there are no containers to inherit from: use [route.waf] for what differs by route"),
    ),
    ("SecRulePerfTime", Kind::Inert("`portcullis waf cost` shows what each rule costs")),
    ("SecRuleRemoveById", Kind::Update(Update::RemoveById)),
    ("SecRuleRemoveByMsg", Kind::Update(Update::RemoveByMsg)),
    ("SecRuleRemoveByTag", Kind::Update(Update::RemoveByTag)),
    ("SecRuleScript", Kind::Refused("there is no Lua: write a plugin")),
    ("SecRuleUpdateActionById", Kind::Update(Update::ActionById)),
    ("SecRuleUpdateTargetById", Kind::Update(Update::TargetById)),
    ("SecRuleUpdateTargetByMsg", Kind::Update(Update::TargetByMsg)),
    ("SecRuleUpdateTargetByTag", Kind::Update(Update::TargetByTag)),
    ("SecSensorId", Kind::Inert("the log tells routes and files apart")),
    ("SecServerSignature", Kind::Inert("the Server field is not changed by rules: use the headers plugin")),
    ("SecStatusEngine", Kind::Inert("nobody is told what runs here")),
    ("SecStreamInBodyInspection", Kind::OffOnly("bodies are not rewritten as streams: look at REQUEST_BODY")),
    ("SecStreamOutBodyInspection", Kind::OffOnly("bodies are not rewritten as streams: look at RESPONSE_BODY")),
    ("SecTmpDir", Kind::Inert(NO_FILES)),
    ("SecTmpSaveUploadedFiles", Kind::Inert(NO_FILES)),
    ("SecUnicodeCodePage", Kind::Setting),
    ("SecUnicodeMap", Kind::Setting),
    ("SecUnicodeMapFile", Kind::Setting),
    ("SecUploadDir", Kind::Inert(NO_FILES)),
    ("SecUploadFileLimit", Kind::Setting),
    ("SecUploadFileMode", Kind::Inert(NO_FILES)),
    ("SecUploadKeepFiles", Kind::Setting),
    ("SecWebAppId", Kind::Setting),
    ("SecWriteStateLimit", Kind::OffOnly(CONNECTIONS)),
    ("SecXmlExternalEntity", Kind::OffOnly("a document may not make the proxy read other documents")),
];

/// By name, in any case.
pub(super) fn find(name: &str) -> Option<(&'static str, Kind)> {
    DIRECTIVES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).copied()
}

/// All names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    DIRECTIVES.iter().map(|(name, _)| *name)
}

/// Why a directive of the server around ModSecurity is not one here.
pub(super) fn of_a_server(word: &str) -> Option<&'static str> {
    if word.starts_with('<') {
        return Some(
            "sections of a server's configuration (<IfModule>, <Location>, <VirtualHost>...) are not read: take them away and keep the \
             directives inside; what differs by route goes to [route.waf] in the proxy's configuration",
        );
    }
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "modsecurity" | "modsecurity_rules_file" | "modsecurity_rules" | "modsecurity_rules_remote" | "load_module" => {
            Some("this is the configuration of nginx: name the rule file in the plugin's table instead")
        }
        "loadmodule" | "loadfile" | "errordocument" | "location" | "define" => {
            Some("this is a directive of httpd, not of SecLang: take it away")
        }
        _ => None,
    }
}
