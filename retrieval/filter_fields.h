// The fields that filters see: the built-in ones and the metadata of a document. Pure functions, thread-safe.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "retrieval/types.h"

namespace lastro::retrieval {

absl::string_view LanguageCode(Language language);  // "en", "pt", ""

// All fields of `document`; a built-in field hides metadata of the same name.
Metadata FieldsOf(const Document& document);
std::optional<MetadataValue> FieldOf(const Document& document, const std::string& field);

}  // namespace lastro::retrieval
