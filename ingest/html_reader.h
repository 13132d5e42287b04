// Blocks of an HTML page: headings, paragraphs, list items, table rows, preformatted text. Left out is what a reader
// does not see (scripts, comments, hidden elements: ingest/html_hidden.h) and what is not about the page (navigation,
// footers, asides, forms). List items have a marker, as in Markdown ("- ", "3. "), whose source is their tag. Pure
// function, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call_context.h"
#include "ingest/block.h"

namespace lastro::ingest {

struct HtmlPage {
  std::string title;
  std::vector<Block> blocks;  // their sources are bytes of `html`
};

// `html` is UTF-8. RESOURCE_EXHAUSTED when parsing needs more than `max_memory_bytes`; CANCELLED, DEADLINE_EXCEEDED.
absl::StatusOr<HtmlPage> ReadHtml(absl::string_view html, uint64_t max_memory_bytes, const CallContext& context);

}  // namespace lastro::ingest
