//! All maps that are measured, and what became of those that are not.

mod absent;
mod btreemap;
mod fst;
mod locked_btreemap;
mod memkv;
mod sorted_vec;

#[cfg(feature = "peers")]
mod artmap;
#[cfg(feature = "peers")]
mod bf_tree;
#[cfg(feature = "peers")]
mod blart;
#[cfg(feature = "peers")]
mod concurrent_map;
#[cfg(feature = "peers")]
mod congee;
#[cfg(feature = "peers")]
mod ferntree;
#[cfg(feature = "peers")]
mod hashbrown;
#[cfg(feature = "peers")]
mod imbl;
#[cfg(feature = "peers")]
mod indexset;
#[cfg(feature = "peers")]
mod masstree;
#[cfg(feature = "peers")]
mod papaya;
#[cfg(feature = "peers")]
mod pgm;
#[cfg(feature = "peers")]
mod rart;
#[cfg(feature = "peers")]
mod redb;
#[cfg(feature = "peers")]
mod scc;
#[cfg(feature = "peers")]
mod skiplist;

pub(crate) use absent::ABSENT;
pub(crate) use btreemap::REFERENCE;

use crate::peer::Entrant;

/// Every map, MemKV first.
pub(crate) const ENTRANTS: &[Entrant] = &[
    memkv::AS_IT_COMES,
    memkv::FOLDED,
    memkv::MIXED_1,
    memkv::MIXED_2,
    memkv::MIXED_5,
    memkv::MIXED_10,
    memkv::DELTA,
    btreemap::RANDOM,
    btreemap::BOXED,
    btreemap::BULK,
    locked_btreemap::ENTRANT,
    sorted_vec::ENTRANT,
    fst::ENTRANT,
    #[cfg(feature = "peers")]
    hashbrown::ENTRANT,
    #[cfg(feature = "peers")]
    papaya::ENTRANT,
    #[cfg(feature = "peers")]
    blart::ENTRANT,
    #[cfg(feature = "peers")]
    rart::ENTRANT,
    #[cfg(feature = "peers")]
    artmap::CONCURRENT,
    #[cfg(feature = "peers")]
    artmap::ARENA,
    #[cfg(feature = "peers")]
    congee::ENTRANT,
    #[cfg(feature = "peers")]
    masstree::ENTRANT,
    #[cfg(feature = "peers")]
    skiplist::ENTRANT,
    #[cfg(feature = "peers")]
    scc::ENTRANT,
    #[cfg(feature = "peers")]
    concurrent_map::ENTRANT,
    #[cfg(feature = "peers")]
    ferntree::ENTRANT,
    #[cfg(feature = "peers")]
    bf_tree::ENTRANT,
    #[cfg(feature = "peers")]
    indexset::ENTRANT,
    #[cfg(feature = "peers")]
    imbl::ENTRANT,
    #[cfg(feature = "peers")]
    redb::ENTRANT,
    #[cfg(feature = "peers")]
    pgm::EXTRA,
    #[cfg(feature = "peers")]
    pgm::INDEX,
];

pub(crate) fn find(name: &str) -> Option<Entrant> {
    ENTRANTS.iter().find(|entrant| entrant.name == name).copied()
}
