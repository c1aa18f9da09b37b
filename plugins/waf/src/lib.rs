//! The web application firewall: SecLang rules between door and backend.
