//! Whose processes are measured: FerroLB's, and perhaps another implementation's beside them.

use std::fs;
use std::path::PathBuf;

use ferrolb_lab::manifests::Manifests;
use ferrolb_lab::report::complain;
use ferrolb_lab::{Control, Error, Options, Peer, Result};

use crate::args::Args;

/// One implementation.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    options: Options,
}

/// All that are measured.
#[derive(Clone, Debug)]
pub(crate) struct Subjects {
    pub(crate) ours: Subject,
    pub(crate) peer: Option<Subject>,
    /// The real Kubernetes, or the embedded server where its programs are not at hand.
    pub(crate) control: Control,
}

pub(crate) fn all(args: &Args) -> Result<Subjects> {
    let program = fs::canonicalize(&args.ferrolb)
        .map_err(Error::io(format!("binary {}", args.ferrolb.display())))?;
    let control = Control::real().unwrap_or_else(|error| {
        complain(format_args!("bench: embedded API server only: {error}"));
        Control::Embedded
    });
    let options = Options { program, control: control.clone(), ..Options::new()? };
    let peer = match (&args.controller, &args.speaker) {
        (Some(controller), Some(speaker)) if control != Control::Embedded => {
            let read = |path: &PathBuf| {
                fs::read_to_string(path).map_err(Error::io(path.display().to_string()))
            };
            let texts: Vec<_> = args.manifests.iter().map(read).collect::<Result<_>>()?;
            Some(Subject {
                name: "peer",
                options: Options {
                    peer: Some(Peer {
                        controller: controller.clone(),
                        speaker: speaker.clone(),
                        only_on: None,
                    }),
                    manifests: Manifests::parse(&texts.join("\n---\n"))?,
                    controller_flags: args.controller_flags.clone(),
                    speaker_flags: args.speaker_flags.clone(),
                    ..options.clone()
                },
            })
        }
        _ => None,
    };
    Ok(Subjects { ours: Subject { name: "ours", options }, peer, control })
}

impl Subject {
    /// Another implementation, or ours with some of it.
    pub(crate) fn is_peer(&self) -> bool {
        self.options.peer.is_some()
    }

    /// A lab for it with this API server.
    pub(crate) fn options(&self, control: &Control) -> Options {
        Options { control: control.clone(), ..self.options.clone() }
    }

    /// What is installed for this implementation, of which only the speaker on one node runs: the rest
    /// is ours.
    pub(crate) fn among_ours(&self, node: &str) -> Self {
        let mut options = self.options.clone();
        options.peer = options.peer.map(|peer| Peer { only_on: Some(node.to_owned()), ..peer });
        Self { options, ..*self }
    }
}
