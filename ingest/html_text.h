// The text of HTML text nodes, character by character, with the bytes it was written with. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "ingest/mapped_text.h"

namespace lastro::ingest {

// Decodes character references by HTML's own rules and remembers them.
class HtmlEntities {
 public:
  // What `reference` ("&eacute;", "&#233;", "&copy") stands for; `reference` itself when it stands for nothing.
  const std::string& Decode(absl::string_view reference);

 private:
  absl::flat_hash_map<std::string, std::string> known_;
};

// The longest piece at the start of `raw` that may be a character reference; empty when it does not start with '&'.
absl::string_view ReferenceAt(absl::string_view raw);

// Aligns the parser's `decoded` text with the `raw` bytes it came from (parsed bytes [begin, begin + raw.size())): what
// is equal is verbatim, references are changed, tags in between are left out. When that fails, all of `decoded` stands
// for all of `raw`.
MappedText AlignHtmlText(absl::string_view decoded, absl::string_view raw, uint64_t begin, HtmlEntities* entities);

}  // namespace lastro::ingest
