// The fields that filters see: the built-in ones and the metadata of a document. Pure functions, thread-safe.
#pragma once

#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "retrieval/types.h"

namespace lastro::retrieval {

inline constexpr absl::string_view kLabelField("label", 5);

absl::string_view LanguageCode(Language language);  // "en", "pt", ""

// All fields of `document` with their values, each once; a built-in field hides metadata of the same name.
std::map<std::string, MetadataList> FieldsOf(const Document& document);
MetadataList FieldOf(const Document& document, const std::string& field);  // empty: it has none

}  // namespace lastro::retrieval
