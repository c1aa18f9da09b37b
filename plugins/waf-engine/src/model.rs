//! Rules as they are after loading: defaults resolved, updates and removals applied, every word understood. Plain data.

use std::sync::Arc;

use crate::{operator::Operator, transform::Transformation};

/// Where a directive begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// As it was asked of [`Files`](crate::world::Files).
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
}

/// Everything that was loaded.
#[derive(Debug, Default)]
pub struct RuleSet {
    /// What directives set.
    pub settings: Settings,
    /// Rules and markers in the order of the files: the order of evaluation within each phase.
    pub entries: Vec<Entry>,
}

/// What evaluation walks over.
#[derive(Debug)]
pub enum Entry {
    /// A rule, or a chain of them.
    Rule(Rule),
    /// `SecMarker`: where `skipAfter` ends. Counts in every phase.
    Marker(Arc<str>),
}

/// The phases, numbered as in rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Phase {
    RequestHead = 1,
    RequestBody = 2,
    ResponseHead = 3,
    ResponseBody = 4,
    Logging = 5,
}

/// A `SecRule` or `SecAction` with the rules chained to it.
#[derive(Debug)]
pub struct Rule {
    /// Unique; 0 for a `SecAction` without an id, of which there may be several.
    pub id: u64,
    /// Of the whole chain.
    pub phase: Phase,
    /// Head first, at least one. All must match, in order.
    pub links: Vec<Link>,
    /// What is done when all have matched.
    pub disruptive: Disruptive,
    /// `status`, where written or by default: 403 where it is needed and absent.
    pub status: Option<u16>,
    /// Whether a match is logged at all (`log`, `nolog`).
    pub log: bool,
    /// Whether a match goes to the audit log (`auditlog`, `noauditlog`).
    pub audit_log: bool,
    /// What is skipped when all have matched.
    pub skip: Option<Skip>,
    /// `msg`.
    pub message: Option<Template>,
    /// `severity`, 0 (emergency) to 7 (debug).
    pub severity: Option<u8>,
    /// `tag`s in order.
    pub tags: Vec<Template>,
    /// `ver`.
    pub version: Option<Arc<str>>,
    /// `rev`.
    pub revision: Option<Arc<str>>,
    /// `maturity`.
    pub maturity: Option<u8>,
    /// `accuracy`.
    pub accuracy: Option<u8>,
}

/// One link of a chain: a condition, and what is done as soon as it holds.
#[derive(Debug)]
pub struct Link {
    /// Of this link's own directive.
    pub location: Location,
    /// What is looked at; empty for `SecAction`.
    pub targets: Vec<Target>,
    /// `None` for `SecAction`: holds always, once.
    pub condition: Option<Condition>,
    /// In order; not those that came by default before a `t:none`.
    pub transformations: Vec<Transformation>,
    /// The operator is asked after each transformation that changed something, not only after the last.
    pub multi_match: bool,
    /// Groups of the operator go to `TX:0` to `TX:9`.
    pub capture: bool,
    /// Done for each match of this link, in order.
    pub actions: Vec<Action>,
    /// `logdata`, of this link.
    pub log_data: Option<Template>,
}

/// An operator, maybe negated.
#[derive(Debug)]
pub struct Condition {
    /// `!@`.
    pub negated: bool,
    /// With its argument.
    pub operator: Operator,
    /// As written, for logs: `rx`, and its argument.
    pub name: Arc<str>,
    /// As written.
    pub argument: Arc<str>,
}

/// `ARGS`, `!ARGS:x`, `&ARGS:/^x/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which variable or collection.
    pub variable: Variable,
    /// Which of its entries.
    pub selector: Selector,
    /// `&`: how many there are.
    pub count: bool,
    /// `!`: these not, whatever other targets of the rule say.
    pub excluded: bool,
}

/// Which entries of a collection.
#[derive(Debug, Clone)]
pub enum Selector {
    /// All, or the variable is no collection.
    All,
    /// By name; compared without regard to ASCII case. Lower case.
    Name(Arc<str>),
    /// By regular expression over the name, `/.../`, without regard to case.
    Regex {
        /// As written between the slashes.
        source: Arc<str>,
        /// Compiled.
        pattern: Arc<crate::pattern::Pattern>,
    },
    /// An XPath of the XML body.
    XPath(XPath),
    /// By a name made up at evaluation: `TX:%{MATCHED_VAR_NAME}`.
    Template(Template),
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::Name(a), Self::Name(b)) => a == b,
            (Self::Regex { source: a, .. }, Self::Regex { source: b, .. }) => a == b,
            (Self::XPath(a), Self::XPath(b)) => a == b,
            (Self::Template(a), Self::Template(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Selector {}

/// The XPath expressions that rules use. Others are load errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum XPath {
    /// `/*`: the document's text, all of it as one value (the string value of the root element).
    Elements,
    /// `//@*`: every attribute's value.
    Attributes,
    /// `/a/b`, `//b`, `/a/b/@c`, `//b/text()`: steps by local name.
    Path(Arc<[XStep]>),
}

/// A step of [`XPath::Path`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XStep {
    /// `//`: at any depth.
    pub anywhere: bool,
    /// `@`.
    pub attribute: bool,
    /// Local name, after a prefix; `None` for `*`.
    pub name: Option<Arc<str>>,
}

macro_rules! variables {
    ($($name:literal => $variant:ident,)*) => {
        /// What rules look at. The manual's names; collections and single values alike.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum Variable { $($variant,)* }

        impl Variable {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// By the manual's name, in any case.
            pub fn from_name(name: &str) -> Option<Self> {
                const NAMES: &[(&str, Variable)] = &[$(($name, Variable::$variant),)*];
                NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, variable)| *variable)
            }

            /// As the manual writes it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

variables! {
    "ARGS" => Args, "ARGS_COMBINED_SIZE" => ArgsCombinedSize, "ARGS_GET" => ArgsGet, "ARGS_GET_NAMES" => ArgsGetNames,
    "ARGS_NAMES" => ArgsNames, "ARGS_POST" => ArgsPost, "ARGS_POST_NAMES" => ArgsPostNames, "AUTH_TYPE" => AuthType,
    "DURATION" => Duration, "ENV" => Env, "FILES" => Files, "FILES_COMBINED_SIZE" => FilesCombinedSize,
    "FILES_NAMES" => FilesNames, "FILES_SIZES" => FilesSizes, "FILES_TMPNAMES" => FilesTmpnames, "FILES_TMP_CONTENT" => FilesTmpContent,
    "FULL_REQUEST" => FullRequest,
    "FULL_REQUEST_LENGTH" => FullRequestLength, "GEO" => Geo, "GLOBAL" => Global, "HIGHEST_SEVERITY" => HighestSeverity,
    "INBOUND_DATA_ERROR" => InboundDataError, "IP" => Ip, "MATCHED_VAR" => MatchedVar, "MATCHED_VAR_NAME" => MatchedVarName,
    "MATCHED_VARS" => MatchedVars, "MATCHED_VARS_NAMES" => MatchedVarsNames, "MODSEC_BUILD" => ModsecBuild,
    "MSC_PCRE_ERROR" => MscPcreError, "MSC_PCRE_LIMITS_EXCEEDED" => MscPcreLimitsExceeded,
    "MULTIPART_BOUNDARY_QUOTED" => MultipartBoundaryQuoted, "MULTIPART_BOUNDARY_WHITESPACE" => MultipartBoundaryWhitespace,
    "MULTIPART_CRLF_LF_LINES" => MultipartCrlfLfLines, "MULTIPART_DATA_AFTER" => MultipartDataAfter,
    "MULTIPART_DATA_BEFORE" => MultipartDataBefore, "MULTIPART_FILENAME" => MultipartFilename,
    "MULTIPART_FILE_LIMIT_EXCEEDED" => MultipartFileLimitExceeded, "MULTIPART_HEADER_FOLDING" => MultipartHeaderFolding,
    "MULTIPART_INVALID_HEADER_FOLDING" => MultipartInvalidHeaderFolding, "MULTIPART_INVALID_PART" => MultipartInvalidPart,
    "MULTIPART_INVALID_QUOTING" => MultipartInvalidQuoting, "MULTIPART_LF_LINE" => MultipartLfLine,
    "MULTIPART_MISSING_SEMICOLON" => MultipartMissingSemicolon, "MULTIPART_NAME" => MultipartName,
    "MULTIPART_PART_HEADERS" => MultipartPartHeaders, "MULTIPART_STRICT_ERROR" => MultipartStrictError,
    "MULTIPART_UNMATCHED_BOUNDARY" => MultipartUnmatchedBoundary, "OUTBOUND_DATA_ERROR" => OutboundDataError,
    "PATH_INFO" => PathInfo, "QUERY_STRING" => QueryString, "REMOTE_ADDR" => RemoteAddr, "REMOTE_HOST" => RemoteHost,
    "REMOTE_PORT" => RemotePort, "REMOTE_USER" => RemoteUser, "REQBODY_ERROR" => ReqbodyError,
    "REQBODY_ERROR_MSG" => ReqbodyErrorMsg, "REQBODY_PROCESSOR" => ReqbodyProcessor,
    "REQBODY_PROCESSOR_ERROR" => ReqbodyProcessorError, "REQBODY_PROCESSOR_ERROR_MSG" => ReqbodyProcessorErrorMsg,
    "REQUEST_BASENAME" => RequestBasename, "REQUEST_BODY" => RequestBody, "REQUEST_BODY_LENGTH" => RequestBodyLength,
    "REQUEST_COOKIES" => RequestCookies, "REQUEST_COOKIES_NAMES" => RequestCookiesNames, "REQUEST_FILENAME" => RequestFilename,
    "REQUEST_HEADERS" => RequestHeaders, "REQUEST_HEADERS_NAMES" => RequestHeadersNames, "REQUEST_LINE" => RequestLine,
    "REQUEST_METHOD" => RequestMethod, "REQUEST_PROTOCOL" => RequestProtocol, "REQUEST_URI" => RequestUri,
    "REQUEST_URI_RAW" => RequestUriRaw, "RESOURCE" => Resource, "RESPONSE_BODY" => ResponseBody,
    "RESPONSE_CONTENT_LENGTH" => ResponseContentLength, "RESPONSE_CONTENT_TYPE" => ResponseContentType,
    "RESPONSE_HEADERS" => ResponseHeaders, "RESPONSE_HEADERS_NAMES" => ResponseHeadersNames,
    "RESPONSE_PROTOCOL" => ResponseProtocol, "RESPONSE_STATUS" => ResponseStatus, "RULE" => Rule, "SERVER_ADDR" => ServerAddr,
    "SERVER_NAME" => ServerName, "SERVER_PORT" => ServerPort, "SESSION" => Session, "SESSIONID" => SessionId,
    "STATUS" => Status, "STATUS_LINE" => StatusLine, "TIME" => Time, "TIME_DAY" => TimeDay, "TIME_EPOCH" => TimeEpoch,
    "TIME_HOUR" => TimeHour, "TIME_MIN" => TimeMin, "TIME_MON" => TimeMon, "TIME_SEC" => TimeSec, "TIME_WDAY" => TimeWday,
    "TIME_YEAR" => TimeYear, "TX" => Tx, "UNIQUE_ID" => UniqueId, "URLENCODED_ERROR" => UrlencodedError, "USER" => User,
    "USERID" => UserId, "WEBAPPID" => WebAppId, "XML" => Xml,
}

/// Text with macros: `Inbound score %{tx.score}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(pub Arc<[Piece]>);

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes as they are.
    Text(Arc<str>),
    /// `%{VARIABLE}` or `%{COLLECTION.name}`: the first such value, empty if there is none.
    Value {
        /// Which.
        variable: Variable,
        /// Lower case.
        name: Option<Arc<str>>,
    },
    /// `%{COLLECTION:/regex/}`: the first value that the selector picks, empty if there is none.
    Search {
        /// Which.
        variable: Variable,
        /// Always a [`Selector::Regex`].
        selector: Selector,
    },
}

/// What a match of a link does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `setvar`.
    SetVar {
        /// `TX`, `IP`, `GLOBAL`, `RESOURCE`, `SESSION`, `USER`.
        collection: Variable,
        /// Made lower case when expanded.
        name: Template,
        /// What becomes of it.
        change: Change,
    },
    /// `expirevar:ip.x=60`.
    ExpireVar {
        /// As in `SetVar`.
        collection: Variable,
        /// As in `SetVar`.
        name: Template,
        /// Seconds.
        seconds: Template,
    },
    /// `deprecatevar:ip.x=60/300`: by so much each so many seconds.
    DeprecateVar {
        /// As in `SetVar`.
        collection: Variable,
        /// As in `SetVar`.
        name: Template,
        /// Subtracted,
        by: Template,
        /// once each so many seconds.
        seconds: Template,
    },
    /// `initcol:ip=%{REMOTE_ADDR}`.
    InitCol {
        /// `IP`, `GLOBAL`, `RESOURCE`, `SESSION`, `USER`.
        collection: Variable,
        /// Its key.
        key: Template,
    },
    /// `setsid`, `setuid`, `setrsc`: names the collection SESSION, USER or RESOURCE.
    SetKey {
        /// Which of the three.
        collection: Variable,
        /// Its key.
        key: Template,
    },
    /// `setenv:NAME=value`: for `ENV` of later rules of this transaction.
    SetEnv {
        /// Case-sensitive.
        name: Arc<str>,
        /// To be expanded.
        value: Template,
    },
    /// `ctl`.
    Ctl(Ctl),
    /// `sanitiseArg`, `sanitiseRequestHeader`, `sanitiseResponseHeader`, `sanitiseMatched`, `sanitiseMatchedBytes`.
    Sanitise(Sanitise),
}

/// What `setvar` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `=`; without a value: `1`.
    Assign(Template),
    /// `=+`.
    Add(Template),
    /// `=-`.
    Subtract(Template),
    /// `!name`.
    Unset,
}

/// What the audit log masks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Sanitise {
    Argument(Arc<str>),
    RequestHeader(Arc<str>),
    ResponseHeader(Arc<str>),
    Matched,
    /// All but so many bytes at the beginning and at the end.
    MatchedBytes {
        first: u32,
        last: u32,
    },
}

/// `ctl`: for the rest of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Ctl {
    AuditEngine(AuditEngine),
    AuditLogParts { add: Option<bool>, parts: AuditParts },
    ForceRequestBodyVariable(bool),
    RequestBodyAccess(bool),
    RequestBodyLimit(u64),
    RequestBodyProcessor(BodyProcessor),
    ResponseBodyAccess(bool),
    ResponseBodyLimit(u64),
    ResponseBodyProcessor(BodyProcessor),
    RuleEngine(Mode),
    RuleRemoveById(Vec<IdRange>),
    RuleRemoveByTag(Template),
    RuleRemoveByMsg(Template),
    RuleRemoveTargetById { rules: Vec<IdRange>, target: Target },
    RuleRemoveTargetByTag { tag: Arc<str>, target: Target },
    RuleRemoveTargetByMsg { message: Arc<str>, target: Target },
    HashEngine(bool),
}

/// Rule ids, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The lowest.
    pub first: u64,
    /// The highest.
    pub last: u64,
}

/// What a rule does to the transaction. `block` is already what the phase's `SecDefaultAction` makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disruptive {
    /// Nothing.
    Pass,
    /// Answers with `status`.
    Deny,
    /// Closes the connection.
    Drop,
    /// Answers with a redirect: `status` if it is 301, 302, 303, 307 or 308, else 302.
    Redirect(Template),
    /// No more rules, as far as the scope goes.
    Allow(AllowScope),
}

/// How far `allow` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AllowScope {
    /// All phases but the last.
    Transaction,
    /// The rest of this phase.
    Phase,
    /// Until the response's phases.
    Request,
}

/// What a whole match of a rule jumps over, in its phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// `skipAfter`: everything up to that marker, or that rule id.
    After(Arc<str>),
    /// `skip`: so many rules (chains count once).
    Rules(u32),
}

/// `SecRuleEngine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Mode {
    On,
    DetectionOnly,
    #[default]
    Off,
}

/// `SecAuditEngine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum AuditEngine {
    On,
    RelevantOnly,
    #[default]
    Off,
}

/// `SecAuditLogParts`: a set of the letters A to K and Z; bit 0 is A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditParts(pub u32);

impl Default for AuditParts {
    /// ABCFHZ, as the manual has it.
    fn default() -> Self {
        Self("ABCFHZ".bytes().fold(0, |set, letter| set | 1 << (letter - b'A')))
    }
}

/// How a body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BodyProcessor {
    UrlEncoded,
    Multipart,
    Json,
    Xml,
}

/// What happens at a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LimitAction {
    Reject,
    ProcessPartial,
}

/// What directives set for everything. The manual's names and defaults.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Settings {
    pub mode: Mode,
    /// As in libmodsecurity, bodies are looked at where nothing is written.
    pub request_body_access: bool,
    pub request_body_limit: u64,
    pub request_body_no_files_limit: u64,
    /// `None` where nothing is written. As in libmodsecurity, all that comes is then looked at, and `INBOUND_DATA_ERROR` tells that
    /// it is too much; what nobody could look at is rejected.
    pub request_body_limit_action: Option<LimitAction>,
    pub request_body_json_depth_limit: u32,
    pub arguments_limit: u32,
    pub argument_separator: u8,
    /// `SecUploadKeepFiles On`: nothing is kept; it makes `SecUploadFileLimit` count.
    pub upload_keep_files: bool,
    /// `SecUploadFileLimit`.
    pub upload_file_limit: u32,
    pub response_body_access: bool,
    pub response_body_limit: u64,
    /// `None` where nothing is written. As in libmodsecurity, `OUTBOUND_DATA_ERROR` is all that comes of it.
    pub response_body_limit_action: Option<LimitAction>,
    /// Lower case, without parameters.
    pub response_body_mime_types: Vec<Arc<str>>,
    pub audit_engine: AuditEngine,
    pub audit_log: Option<Arc<str>>,
    pub audit_parts: AuditParts,
    /// `SecAuditLogRelevantStatus`.
    pub audit_relevant_status: Option<Arc<crate::pattern::Pattern>>,
    /// `SecPcreMatchLimit`: steps of a backtracking pattern.
    pub backtrack_limit: u64,
    /// `SecCollectionTimeout`, seconds.
    pub collection_timeout: u64,
    /// `SecComponentSignature`.
    pub component_signatures: Vec<Arc<str>>,
    /// `SecWebAppId`.
    pub web_app_id: Arc<str>,
    /// `SecUnicodeMapFile`: what code points above 0xFF become in `urlDecodeUni`, as parsed by [`crate::transform`].
    pub unicode_map: Option<Arc<crate::transform::UnicodeMap>>,
    /// `SecXmlExternalEntity On` is a load error; there is nothing to keep.
    /// `SecCookieV0Separator`.
    pub cookie_separator: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            request_body_access: true,
            request_body_limit: 134_217_728,
            request_body_no_files_limit: 131_072,
            request_body_limit_action: None,
            request_body_json_depth_limit: 10_000,
            arguments_limit: 1000,
            argument_separator: b'&',
            upload_keep_files: false,
            upload_file_limit: 100,
            response_body_access: false,
            response_body_limit: 524_288,
            response_body_limit_action: None,
            response_body_mime_types: vec!["text/plain".into(), "text/html".into()],
            audit_engine: AuditEngine::Off,
            audit_log: None,
            audit_parts: AuditParts::default(),
            audit_relevant_status: None,
            backtrack_limit: 100_000,
            collection_timeout: 3600,
            component_signatures: Vec::new(),
            web_app_id: "".into(),
            unicode_map: None,
            cookie_separator: b';',
        }
    }
}
