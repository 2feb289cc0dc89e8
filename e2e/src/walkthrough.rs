//! Pages for users, run as they stand: the stories in `examples/walkthroughs`, `docs/install.md`.
//!
//! A fenced block that begins with `` ```sh run `` is a script: it runs with `bash -euo pipefail` on
//! the client, in the folder `examples`, with `kubectl` at hand, and its checks are its own. Every
//! block of a story runs, in its order; `` ```sh shown `` is for the reader only.

use std::time::Duration;

use ferrolb_lab::command::Run;
use ferrolb_lab::plan::Lan;
use ferrolb_lab::{Control, Error, KUBECONFIG, Result};

use crate::stage::{Stage, check, examples, fail, repository};
use crate::suite::Case;

/// One case per story, so that each has a name and a time.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "walkthrough_first_load_balancer",
        pins: "from a pending Service to a reachable one, and to a Gateway",
        run: |stage| tell(stage, "examples/walkthroughs/first-load-balancer.md"),
    },
    Case {
        name: "walkthrough_istio_ingress",
        pins: "an ingress gateway gets its address",
        run: |stage| tell(stage, "examples/walkthroughs/istio-ingress.md"),
    },
    Case {
        name: "walkthrough_gateway_and_fixed_addresses",
        pins: "pools, fixed and shared addresses, node selectors",
        run: |stage| tell(stage, "examples/walkthroughs/gateway-and-fixed-addresses.md"),
    },
    Case {
        name: "walkthrough_university_dual_stack",
        pins: "dual-stack with scattered blocks, addresses on request only, two networks",
        run: |stage| tell(stage, "examples/walkthroughs/university-dual-stack.md"),
    },
];

/// A whole block, kubectl's waiting included.
const LIMIT: Duration = Duration::from_mins(1);

/// A script and the line it begins at.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Block {
    line: usize,
    script: String,
}

/// Runs the blocks of a page of the repository.
pub(crate) fn tell(stage: &Stage, page: &str) -> Result<()> {
    let path = repository(page);
    let text = std::fs::read_to_string(&path).map_err(Error::io(path.display().to_string()))?;
    let blocks = blocks(&text);
    check(!blocks.is_empty(), || format!("{page} has no block to run"))?;
    let programs = match Control::real()? {
        Control::Real(folder) => folder.display().to_string(),
        Control::Embedded => String::new(),
    };
    for block in &blocks {
        let folder = examples().display().to_string();
        let run = Run::new([
            "env",
            &format!("--chdir={folder}"),
            &format!("KUBECONFIG={KUBECONFIG}"),
            &format!("PATH={programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
            "HOME=/run",
            "bash",
            "-euo",
            "pipefail",
            "-c",
            &block.script,
        ]);
        let output = stage.client(Lan::One)?.netns.output(&run.limit(LIMIT))?;
        if output.code != Some(0) {
            return Err(fail(format!(
                "{page}, block at line {}: status {:?}\n{}\n{}{}",
                block.line, output.code, block.script, output.stdout, output.stderr
            )));
        }
    }
    Ok(())
}

/// The blocks of a story that are to be run.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in text.lines().enumerate() {
        match &mut open {
            None if line.trim_end() == "```sh run" => {
                open = Some(Block { line: index + 1, script: String::new() });
            }
            None => {}
            Some(_) if line.trim_end() == "```" => blocks.extend(open.take()),
            Some(block) => {
                block.script.push_str(line);
                block.script.push('\n');
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blocks_marked_to_run_are_taken() {
        let text = "a\n```sh run\none\n  two\n```\n```sh shown\nthree\n```\n```yaml\nx\n```\n";
        assert_eq!(blocks(text), [Block { line: 2, script: "one\n  two\n".to_owned() }]);
    }
}
