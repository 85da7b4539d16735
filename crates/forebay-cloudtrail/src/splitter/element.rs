//! Elements that are not complete in the window, or broken.

use super::{Next, RecordSplitter, State, capped};
use crate::error::RecordFault;
use crate::outline::{Outline, is_blank, restart_at_line, restart_in_list};
use crate::scan::scan_record;

/// An element that begins where the window begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub(super) place: Place,
    pub(super) outline: Outline,
    pub(super) fault: Option<RecordFault>,
    /// Up to here no restart was found.
    pub(super) searched: usize,
    /// It was handed out already; the rest of it is thrown away.
    pub(super) dropping: bool,
    /// Its brackets do not match.
    pub(super) lost: bool,
    /// Where its brackets close, once that is known.
    pub(super) end: Option<usize>,
}

impl Element {
    fn blame(&mut self, fault: RecordFault) {
        self.fault = Some(fault);
        if let RecordFault::Syntax { at, .. } = fault {
            // The fault shows at the first byte behind the broken string; the name that follows may have closed it.
            self.searched = at.saturating_sub(2).max(1);
        }
    }

    /// Whether it is a list that was not handed out: no record, or one bracket too many before records.
    fn is_list(&self, bytes: &[u8]) -> bool {
        self.fault == Some(RecordFault::NotAnObject)
            && !self.dropping
            && bytes.first() == Some(&b'[')
    }

    /// Its brackets tell nothing.
    fn astray(mut self) -> Self {
        self.lost = true;
        if self.fault == Some(RecordFault::NotAnObject) {
            self.fault = Some(RecordFault::Syntax {
                at: 0,
                expected: "a record",
            });
        }
        self
    }
}

/// Where an element stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Top,
    List { wrapped: bool },
}

impl RecordSplitter {
    /// Begins with an element that is incomplete or broken.
    pub(super) fn element(&mut self, place: Place, fault: RecordFault) -> Next {
        let first = self.window.unread().first().copied().unwrap_or(0);
        let mut element = Element {
            place,
            outline: Outline::new(0, first),
            fault: None,
            searched: 0,
            dropping: false,
            lost: false,
            end: None,
        };
        if fault != RecordFault::Truncated {
            element.blame(fault);
        }
        self.again(element)
    }

    fn again(&mut self, element: Element) -> Next {
        self.state = State::Element(element);
        Next::Again
    }

    pub(super) fn inside_element(&mut self, mut element: Element) -> Next {
        let bytes = self.window.unread();
        // Once brackets have been found not to match, only the next record's beginning helps.
        if element.end.is_none() && !element.lost {
            element.end = element.outline.run(bytes);
        }
        let end = element.end.filter(|_| !element.lost);
        if let (Some(end), None) = (end, element.fault) {
            match scan_record(
                bytes.get(..end.min(self.cap)).unwrap_or_default(),
                &mut self.index,
            ) {
                Ok(length) => {
                    self.leave(element.place);
                    return self.record(0, length, length);
                }
                Err(RecordFault::Truncated) if end > self.cap => {
                    element.fault = Some(RecordFault::TooLong { limit: self.cap });
                }
                Err(fault) => element.blame(fault),
            }
        }
        let looked_at = end.unwrap_or(bytes.len());
        if let Some(fault @ RecordFault::Syntax { .. }) = element.fault {
            let seen = bytes.get(..looked_at).unwrap_or_default();
            let restart = match element.place {
                Place::Top => restart_at_line(seen, element.searched),
                Place::List { .. } => restart_in_list(seen, element.searched),
            };
            if let Some(restart) = restart {
                self.leave(element.place);
                return self.end_element(element.dropping, fault, restart);
            }
            element.searched = element
                .searched
                .max(looked_at.saturating_sub(RESTART_WIDTH));
        }
        let may_mislead = element.fault.is_some_and(is_syntax) || element.is_list(bytes);
        if may_mislead && matches!(element.place, Place::List { .. }) {
            // Brackets that match by chance: then something else than the list goes on behind them.
            let behind = end.map(|end| bytes.iter().skip(end).find(|byte| !is_blank(**byte)));
            match behind {
                Some(Some(b',' | b']')) => {}
                Some(None) if !self.ended && bytes.len() <= self.cap => {
                    self.state = State::Element(element);
                    return Next::More;
                }
                Some(_) => return self.again(element.astray()),
                None if element.is_list(bytes) && (self.ended || bytes.len() > self.cap) => {
                    return self.again(element.astray());
                }
                None => {}
            }
        }
        if let Some(end) = end {
            self.leave(element.place);
            return self.end_element(
                element.dropping,
                element.fault.unwrap_or(RecordFault::Truncated),
                end,
            );
        }
        if element.dropping {
            return self.drop_element(element);
        }
        let length = bytes.len();
        if length > self.cap {
            // Only now is it certain that more is wrong than one byte: look before giving up on what follows.
            if element.fault.is_none()
                && let Err(fault @ RecordFault::Syntax { .. }) =
                    scan_record(capped(bytes, self.cap), &mut self.index)
            {
                element.blame(fault);
                return self.again(element);
            }
            let fault = element
                .fault
                .unwrap_or(RecordFault::TooLong { limit: self.cap });
            element.dropping = true;
            element.outline.rebase(length);
            element.searched = 0;
            self.state = State::Element(element);
            return self.bad(fault, self.cap, length);
        }
        if !self.ended {
            self.state = State::Element(element);
            return Next::More;
        }
        // The end of the text, inside a record.
        let scanned = scan_record(bytes, &mut self.index);
        match (element.fault, scanned) {
            (None, Err(fault @ RecordFault::Syntax { .. })) => {
                element.blame(fault);
                self.again(element)
            }
            (Some(fault), _) => {
                self.state = State::Cut;
                self.bad(fault, length, length)
            }
            (None, _) => {
                self.state = State::Cut;
                Next::Again
            }
        }
    }

    /// An element that was handed out before it ended: go on without keeping it.
    pub(super) fn drop_element(&mut self, mut element: Element) -> Next {
        let length = self.window.unread().len();
        let keep = if matches!(element.fault, Some(RecordFault::Syntax { .. })) {
            RESTART_WIDTH.min(length)
        } else {
            0
        };
        let used = length - keep;
        self.window.skip(used);
        element.outline.rebase(used);
        element.searched = element.searched.saturating_sub(used);
        self.state = if self.ended {
            State::Cut
        } else {
            State::Element(element)
        };
        if self.ended { Next::Again } else { Next::More }
    }

    pub(super) fn end_element(&mut self, dropping: bool, fault: RecordFault, end: usize) -> Next {
        if dropping {
            self.window.skip(end);
            return Next::Again;
        }
        self.bad(fault, end.min(self.cap), end)
    }

    pub(super) const fn leave(&mut self, place: Place) {
        self.state = match place {
            Place::Top => State::Top,
            Place::List { wrapped } => State::List { wrapped },
        };
    }
}

const fn is_syntax(fault: RecordFault) -> bool {
    matches!(fault, RecordFault::Syntax { .. })
}

/// More than the text by which a record's beginning is known, blanks included.
pub(super) const RESTART_WIDTH: usize = 256;
