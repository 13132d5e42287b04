#include "retrieval/filter_fields.h"

namespace lastro::retrieval {
namespace {

constexpr absl::string_view kBuiltIn[] = {"uri", "title", "media_type", "language", "origin"};

std::optional<std::string> BuiltIn(const Document& document, absl::string_view field) {
  if (field == "uri") return document.uri;
  if (field == "title") return document.title;
  if (field == "media_type") return document.media_type;
  if (field == "language") return std::string(LanguageCode(document.language));
  if (field == "origin") return document.origin;
  return std::nullopt;
}

}  // namespace

absl::string_view LanguageCode(Language language) {
  switch (language) {
    case Language::kEnglish:
      return "en";
    case Language::kPortuguese:
      return "pt";
    default:
      return "";
  }
}

Metadata FieldsOf(const Document& document) {
  Metadata fields = document.metadata;
  for (absl::string_view name : kBuiltIn) fields[std::string(name)] = *BuiltIn(document, name);
  return fields;
}

std::optional<MetadataValue> FieldOf(const Document& document, const std::string& field) {
  if (std::optional<std::string> value = BuiltIn(document, field)) return MetadataValue(*std::move(value));
  auto found = document.metadata.find(field);
  if (found == document.metadata.end()) return std::nullopt;
  return found->second;
}

}  // namespace lastro::retrieval
