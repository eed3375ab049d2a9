//! Saving and opening, for maps that can.

use super::{Sink, Task, time};
use crate::kind::{KeyList, Kind};
use crate::peer::Peer;

const NS_PER_MS: f64 = 1e6;

pub(super) fn measure<K: Kind + ?Sized>(
    task: &Task<'_, K>,
    peer: &dyn Peer<K>,
    sink: &mut Sink<'_>,
) -> Result<(), String> {
    let Some(open) = task.maker.open else { return Ok(()) };
    let folder = tempfile::tempdir_in(crate::keys::cache_folder())
        .map_err(|error| format!("no folder to save a map in: {error}"))?;
    let path = folder.path().join("map");
    let (ns, saved) = time(1, || peer.save(&path));
    if let Some(saved) = saved {
        saved?;
        sink.number("save", ns / NS_PER_MS);
        let file_bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
        sink.number("file", file_bytes as f64 / task.set.entries.len().max(1) as f64);
        let key = task.set.entries.keys.key(0);
        let (ns, answer) = time(1, || open(&path).map(|opened| opened.get(key)));
        let right = Some(task.set.entries.value(0));
        let answer = answer?;
        let wrong = (answer != right).then(|| format!("after opening, get answers {answer:?}"));
        sink.answered("open", ns / NS_PER_MS, None, wrong);
    }
    Ok(())
}
