//! The bytes of a transaction, and what transformations make of them, each kept once.

use crate::{
    bytes::ByteSet,
    transform::{Transformation, UnicodeMap},
};

/// Where some bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub start: u32,
    pub len: u32,
}

/// A value that rules look at. Two values with the same id are the same bytes; the reverse need not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// No value.
    pub const NONE: Self = Self(u32::MAX);

    pub const fn is_none(self) -> bool {
        self.0 == u32::MAX
    }

    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

const NO_EDGE: u32 = u32::MAX;
const UNKNOWN: u32 = u32::MAX;

/// Beyond this much, what transformations make is forgotten at the end of each rule.
const BUDGET: usize = 4 << 20;

#[derive(Debug, Clone, Copy)]
struct Node {
    span: Span,
    first_edge: u32,
    /// Valid if `known`.
    present: ByteSet,
    known: bool,
    /// Where the words of the rules that may match it begin among [`Arena::allowed`].
    allowed: u32,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    from: NodeId,
    transformation: Transformation,
    to: NodeId,
    next: u32,
}

/// How much there was at some moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    bytes: usize,
    nodes: usize,
    edges: usize,
    allowed: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Arena {
    bytes: Vec<u8>,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    scratch: Vec<u8>,
    allowed: Vec<u64>,
    /// What the request itself takes: not counted against the budget.
    base: usize,
}

impl Arena {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.nodes.clear();
        self.edges.clear();
        self.allowed.clear();
        self.base = 0;
    }

    /// Keeps bytes. What does not fit into 4 GiB in all is kept as nothing.
    pub fn text(&mut self, bytes: &[u8]) -> Span {
        let Some(span) = span_at(self.bytes.len(), bytes.len()) else { return Span::default() };
        self.bytes.extend_from_slice(bytes);
        span
    }

    /// Keeps the texts one after the other, as one.
    pub fn joined(&mut self, parts: &[&[u8]]) -> Span {
        let len = parts.iter().map(|part| part.len()).sum();
        let Some(span) = span_at(self.bytes.len(), len) else { return Span::default() };
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        span
    }

    /// A value of bytes that are kept already.
    pub fn node(&mut self, span: Span) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node { span, first_edge: NO_EDGE, present: ByteSet::EMPTY, known: false, allowed: UNKNOWN });
        id
    }

    /// Keeps bytes as a value.
    pub fn value(&mut self, bytes: &[u8]) -> NodeId {
        let span = self.text(bytes);
        self.node(span)
    }

    pub fn bytes(&self, span: Span) -> &[u8] {
        // What was forgotten is empty.
        self.bytes.get(span.start as usize..span.start as usize + span.len as usize).unwrap_or_default()
    }

    pub fn get(&self, node: NodeId) -> &[u8] {
        self.bytes(self.nodes[node.index()].span)
    }

    pub fn span(&self, node: NodeId) -> Span {
        self.nodes[node.index()].span
    }

    /// A part of bytes that are kept.
    pub fn part(&self, whole: Span, start: usize, end: usize) -> Span {
        debug_assert!(start <= end && end <= whole.len as usize);
        Span { start: whole.start + start as u32, len: (end - start) as u32 }
    }

    /// Which byte values occur.
    pub fn present(&mut self, node: NodeId) -> ByteSet {
        let at = node.index();
        if !self.nodes[at].known {
            let present = ByteSet::of(self.bytes(self.nodes[at].span));
            self.nodes[at].present = present;
            self.nodes[at].known = true;
        }
        self.nodes[at].present
    }

    /// Which rules' operators may match a value: words of a set that `scan` fills for values that were not asked for before.
    pub fn allowed(&mut self, node: NodeId, words: usize, scan: impl FnOnce(&[u8], &ByteSet, &mut [u64])) -> &[u64] {
        let known = self.nodes[node.index()].allowed;
        if known != UNKNOWN {
            return &self.allowed[known as usize..][..words];
        }
        let present = self.present(node);
        let at = self.allowed.len();
        self.allowed.resize(at + words, 0);
        let span = self.nodes[node.index()].span;
        scan(&self.bytes[span.start as usize..][..span.len as usize], &present, &mut self.allowed[at..]);
        self.nodes[node.index()].allowed = at as u32;
        &self.allowed[at..]
    }

    /// Whether it is known that a rule's operator cannot match a value.
    pub fn is_ruled_out(&self, node: NodeId, rule: usize) -> bool {
        let known = self.nodes[node.index()].allowed;
        known != UNKNOWN && self.allowed[known as usize + rule / 64] & 1 << (rule % 64) == 0
    }

    /// What a transformation makes of a value: the same value, where it changes nothing.
    pub fn transform(&mut self, node: NodeId, transformation: Transformation, map: Option<&UnicodeMap>) -> NodeId {
        let mut edge = self.nodes[node.index()].first_edge;
        while edge != NO_EDGE {
            let known = &self.edges[edge as usize];
            if known.transformation == transformation {
                return known.to;
            }
            edge = known.next;
        }
        let present = self.present(node);
        if !transformation.could_change(&present) {
            return node;
        }
        let to = self.transform_anew(node, transformation, map);
        if to != node && matches!(transformation, Transformation::Lowercase | Transformation::Uppercase) {
            // The prefilter does not regard case.
            self.nodes[to.index()].allowed = self.nodes[node.index()].allowed;
        }
        self.edges.push(Edge { from: node, transformation, to, next: self.nodes[node.index()].first_edge });
        self.nodes[node.index()].first_edge = self.edges.len() as u32 - 1;
        to
    }

    /// As [`transform`](Self::transform), without looking for a way around.
    pub fn transform_anew(&mut self, node: NodeId, transformation: Transformation, map: Option<&UnicodeMap>) -> NodeId {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let to = if transformation.apply(self.get(node), &mut scratch, map) { self.value(&scratch) } else { node };
        self.scratch = scratch;
        to
    }

    pub fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), nodes: self.nodes.len(), edges: self.edges.len(), allowed: self.allowed.len() }
    }

    /// From here on, what is there belongs to the request.
    pub fn settle(&mut self) {
        self.base = self.bytes.len();
    }

    pub fn over_budget(&self) -> bool {
        self.bytes.len() - self.base.min(self.bytes.len()) > BUDGET
    }

    /// Whether these bytes came after the mark.
    pub fn is_after(&self, span: Span, mark: Mark) -> bool {
        span.start as usize >= mark.bytes
    }

    /// Forgets everything since the mark.
    pub fn truncate(&mut self, mark: Mark) {
        while self.edges.len() > mark.edges {
            if let Some(edge) = self.edges.pop()
                && edge.from.index() < mark.nodes
            {
                self.nodes[edge.from.index()].first_edge = edge.next;
            }
        }
        if self.allowed.len() > mark.allowed {
            self.allowed.truncate(mark.allowed);
            for node in self.nodes.iter_mut().take(mark.nodes) {
                if node.allowed != UNKNOWN && node.allowed as usize >= mark.allowed {
                    node.allowed = UNKNOWN;
                }
            }
        }
        self.nodes.truncate(mark.nodes);
        self.bytes.truncate(mark.bytes);
    }
}

fn span_at(start: usize, len: usize) -> Option<Span> {
    let end = start.checked_add(len)?;
    u32::try_from(end).ok()?;
    Some(Span { start: start as u32, len: len as u32 })
}
