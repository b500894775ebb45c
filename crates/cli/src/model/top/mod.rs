//! `brkmap top` without terminal, clock or kernel: the processes and what is known of them ([`board`]), in which order they
//! stand ([`order`]), which of them is looked at next ([`schedule`]), and what keys do ([`ui`]).

pub(crate) mod board;
pub(crate) mod order;
pub(crate) mod schedule;
pub(crate) mod ui;
