//! From rule files to a [`RuleSet`](crate::model::RuleSet).
