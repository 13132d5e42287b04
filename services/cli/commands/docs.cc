#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "services/cli/commands/commands.h"
#include "services/cli/documents.h"
#include "services/cli/filter_parser.h"
#include "services/cli/format.h"
#include "services/cli/table.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

struct ListOptions {
  std::string filter;
  int64_t limit = 0;
};

struct ShowOptions {
  std::string document;
  bool text = false;
  bool chunks = false;
};

struct DeleteOptions {
  std::vector<std::string> documents;
};

absl::StatusOr<int> RunList(const ListOptions& options, Session& session) {
  v1::ListDocumentsRequest request;
  request.set_collection(session.options().collection);
  LASTRO_ASSIGN_OR_RETURN(*request.mutable_filter(), ParseFilter(options.filter));
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  v1::ListDocumentsResponse all;
  LASTRO_RETURN_IF_ERROR(
      ForEachDocument(request, options.limit, node->retrieval(), session.context(), [&](const v1::Document& document) {
        *all.add_documents() = document;
        return absl::OkStatus();
      }));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(all));
    return kExitOk;
  }
  Table table({{"uri"},
               {"title"},
               {"lang"},
               {"size", Table::Align::kRight},
               {"chunks", Table::Align::kRight},
               {"ingested", Table::Align::kRight}});
  for (const v1::Document& document : all.documents()) {
    table.AddRow({document.uri(), document.title(), FormatLanguage(document.language()),
                  FormatBytes(document.size_bytes()), FormatCount(document.chunk_count()),
                  FormatTime(document.ingested_at())});
  }
  if (table.empty()) {
    session.out() << "No documents.\n";
  } else {
    table.Print(session.out(), session.out_terminal());
  }
  return kExitOk;
}

void PrintDocument(const v1::Document& document, Session& session) {
  Properties properties;
  properties.Add("id", document.id());
  properties.Add("collection", document.collection());
  properties.Add("uri", document.uri());
  properties.Add("title", document.title());
  properties.Add("media type", document.media_type());
  properties.Add("encoding", document.encoding());
  properties.Add("language", FormatLanguage(document.language()));
  properties.Add("source", document.source_kind() == v1::SOURCE_KIND_EXTRACTED_TEXT ? "extracted text" : "the file");
  properties.Add("size", FormatBytes(document.size_bytes()));
  properties.Add("chunks", FormatCount(document.chunk_count()));
  properties.Add("sha256", document.content_sha256());
  properties.Add("origin", document.origin());
  properties.Add("modified", FormatTime(document.modified_at()));
  properties.Add("ingested", FormatTime(document.ingested_at()));
  if (document.labels_size() > 0) properties.Add("labels", absl::StrJoin(document.labels(), ", "));
  std::map<std::string, v1::MetadataValue> metadata(document.metadata().begin(), document.metadata().end());
  for (const auto& [name, value] : metadata) properties.Add("meta " + name, FormatMetadata(value));
  properties.Print(session.out(), session.out_terminal());
}

void PrintChunk(const v1::Chunk& chunk, Session& session) {
  Style style = session.style();
  session.out() << style.Bold(absl::StrCat("#", chunk.ordinal())) << "  "
                << OneLine(absl::StrJoin(chunk.headings(), " › ")) << "  "
                << style.Dim(absl::StrCat("chunk ", chunk.id(), ", ", chunk.tokens(), " tokens")) << "\n";
  int columns = session.out_terminal().is_terminal ? session.out_terminal().columns - 4 : 0;
  for (const std::string& line : WrapText(Printable(chunk.text(), true), columns))
    session.out() << "    " << line << "\n";
}

absl::Status ShowChunks(const v1::Document& document, Node& node, Session& session) {
  v1::ListChunksRequest request;
  request.set_collection(document.collection());
  request.set_document_id(document.id());
  LASTRO_ASSIGN_OR_RETURN(v1::ListChunksResponse response, node.retrieval().ListChunks(request, session.context()));
  if (session.options().json) return session.PrintJson(response);
  for (const v1::Chunk& chunk : response.chunks()) PrintChunk(chunk, session);
  return absl::OkStatus();
}

// The source's bytes as they are; on a terminal, made printable.
absl::Status ShowText(const v1::Document& document, Node& node, Session& session) {
  bool terminal = session.out_terminal().is_terminal;
  return ReadSource(document, node.retrieval(), session.context(), [&](const std::string& piece) {
    session.out() << (terminal ? Printable(piece, true) : piece);
    return session.out().fail() ? absl::CancelledError("the output was closed") : absl::OkStatus();
  });
}

absl::StatusOr<int> RunShow(const ShowOptions& options, Session& session) {
  LASTRO_RETURN_IF_ERROR(CheckUtf8(options.document, "the document's name"));
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  LASTRO_ASSIGN_OR_RETURN(v1::Document document, FindDocument(options.document, session.options().collection,
                                                              node->retrieval(), session.context()));
  if (options.text) {
    LASTRO_RETURN_IF_ERROR(ShowText(document, *node, session));
  } else if (options.chunks) {
    LASTRO_RETURN_IF_ERROR(ShowChunks(document, *node, session));
  } else if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(document));
  } else {
    PrintDocument(document, session);
  }
  return kExitOk;
}

// Either all documents are named rightly and deleted, or none is.
absl::StatusOr<int> RunDelete(const DeleteOptions& options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  v1::DeleteDocumentsRequest request;
  request.set_collection(session.options().collection);
  for (const std::string& name : options.documents) {
    LASTRO_RETURN_IF_ERROR(CheckUtf8(name, "the document's name"));
    LASTRO_ASSIGN_OR_RETURN(v1::Document document,
                            FindDocument(name, session.options().collection, node->retrieval(), session.context()));
    request.add_document_ids(document.id());
  }
  LASTRO_ASSIGN_OR_RETURN(v1::DeleteDocumentsResponse response,
                          node->retrieval().DeleteDocuments(request, session.context()));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(response));
  } else {
    session.out() << "Deleted " << FormatCount(response.deleted()) << " of " << request.document_ids_size()
                  << " documents.\n";
  }
  return kExitOk;
}

void AddList(CommandSet* set, CLI::App* docs) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* command =
      set->AddTo(docs, "list", "Lists documents",
                 {"lastro docs list --limit 20", "lastro docs list --filter 'media_type = \"text/html\"' --json"});
  command->add_option("--filter", options->filter, "Only these documents")->type_name("EXPR");
  command->add_option("--limit", options->limit, "At most so many (default: all)")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);
  set->OnRun(command, [options](Session& session) { return RunList(*options, session); });
}

void AddShow(CommandSet* set, CLI::App* docs) {
  auto options = std::make_shared<ShowOptions>();
  CLI::App* command = set->AddTo(docs, "show", "Shows one document",
                                 {"lastro docs show leave.md", "lastro docs show leave.md --text > leave.md",
                                  "lastro docs show leave.md --chunks --json"});
  command->add_option("document", options->document, "Its uri or id")->required();
  CLI::Option* text = command->add_flag("--text", options->text, "Print its source: what citations point into");
  command->add_flag("--chunks", options->chunks, "Print its passages")->excludes(text);
  set->OnRun(command, [options](Session& session) { return RunShow(*options, session); });
}

void AddDelete(CommandSet* set, CLI::App* docs) {
  auto options = std::make_shared<DeleteOptions>();
  CLI::App* command = set->AddTo(docs, "delete", "Deletes documents",
                                 {"lastro docs delete leave.md", "lastro docs delete --collection old a.md b.md"});
  command->add_option("document", options->documents, "Their uris or ids")->required();
  set->OnRun(command, [options](Session& session) { return RunDelete(*options, session); });
}

}  // namespace

void AddDocsCommand(CommandSet* set) {
  CLI::App* docs = set->Add("docs", "Lists, shows and deletes documents",
                            {"lastro docs list", "lastro docs show leave.md --chunks"});
  docs->require_subcommand(1);
  AddList(set, docs);
  AddShow(set, docs);
  AddDelete(set, docs);
}

}  // namespace lastro::services
