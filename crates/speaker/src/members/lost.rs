//! Who counts where membership is off: every node, except those that the control plane has not heard
//! of for its grace period (40 s or more by default). If it has lost all nodes, the fault is its own.

use std::collections::BTreeSet;

use ferrolb_ipam::NodeName;
use ferrolb_model::Members;

/// The nodes that the control plane does not hear.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    nodes: BTreeSet<NodeName>,
}

impl Lost {
    /// Takes in whether `node` is lost; `all` are the nodes there are. Returns who counts if that
    /// may be others now.
    pub(crate) fn take<'a>(
        &mut self,
        node: NodeName,
        lost: bool,
        all: impl Iterator<Item = &'a NodeName>,
    ) -> Option<Members> {
        let changed = if lost { self.nodes.insert(node) } else { self.nodes.remove(&node) };
        if self.nodes.is_empty() {
            return changed.then_some(Members::Unknown);
        }
        // Nodes come and go while some are lost.
        let found: BTreeSet<NodeName> =
            all.filter(|node| !self.nodes.contains(*node)).cloned().collect();
        Some(if found.is_empty() { Members::Unknown } else { Members::Known(found) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_nodes_do_not_count_unless_all_are_lost() {
        let all: [NodeName; 3] = ["a".into(), "b".into(), "c".into()];
        let known = |names: &[&str]| {
            Some(Members::Known(names.iter().map(|name| NodeName::from(*name)).collect()))
        };
        let mut lost = Lost::default();
        assert_eq!(lost.take("a".into(), false, all[..1].iter()), None);
        assert_eq!(lost.take("b".into(), true, all[..2].iter()), known(&["a"]));
        assert_eq!(lost.take("c".into(), false, all.iter()), known(&["a", "c"]));
        assert_eq!(lost.take("a".into(), true, all.iter()), known(&["c"]));
        assert_eq!(lost.take("c".into(), true, all.iter()), Some(Members::Unknown));
        assert_eq!(lost.take("c".into(), false, all.iter()), known(&["c"]));
        // Deleted, and back.
        assert_eq!(lost.take("b".into(), false, all.iter()), known(&["b", "c"]));
        assert_eq!(lost.take("a".into(), false, all.iter()), Some(Members::Unknown));
    }
}
