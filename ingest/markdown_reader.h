// Blocks of a Markdown file (CommonMark with tables, strikethrough and task lists). Markers of emphasis, links' targets
// and comments are left out; list numbers and bullets stay; raw HTML is read as HTML. Pure function, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/call_context.h"
#include "ingest/block.h"

namespace lastro::ingest {

struct MarkdownPage {
  std::string title;          // of the front matter, when there is one
  std::vector<Block> blocks;  // their sources are bytes of `markdown`
};

// `markdown` is UTF-8 with \n line ends. Errors: those of `context`, and of HTML blocks (html_reader.h).
absl::StatusOr<MarkdownPage> ReadMarkdown(absl::string_view markdown, uint64_t max_memory_bytes,
                                          const CallContext& context);

}  // namespace lastro::ingest
