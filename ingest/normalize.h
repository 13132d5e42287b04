// Normalisation of text, with its map kept. Pure function, thread-safe.
//
// Line ends become \n; characters that do not show (controls, zero-width, direction overrides, soft hyphens, tag
// characters, variation selectors) are removed, because hidden text is an attack on whoever reads it next; every kind
// of space becomes a plain one; the rest is composed (NFC).
#pragma once

#include "ingest/mapped_text.h"

namespace lastro::ingest {

// REQUIRES: valid UTF-8. Text that is normal already comes back as it is.
MappedText Normalize(MappedText text);

}  // namespace lastro::ingest
