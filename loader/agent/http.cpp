// SPDX-License-Identifier: Apache-2.0
#include "loader/agent/http.hpp"

#include <http_parser.h>

namespace sheath::agent {
namespace {

constexpr const char* kExpositionType = "text/plain; version=0.0.4; charset=utf-8";
constexpr const char* kPlainText = "text/plain; charset=utf-8";

struct Parsed {
  std::string url;
  bool complete = false;
};

std::string response(std::string_view status, const char* type, const std::string& body, bool with_body = true) {
  return "HTTP/1.1 " + std::string(status) + "\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" +
         (with_body ? body : "");
}

std::string path_of(const std::string& url) {
  return url.substr(0, url.find('?'));
}

}  // namespace

std::optional<std::string> answer_http(std::string_view received, const std::function<std::string()>& metrics) {
  Parsed parsed;
  http_parser_settings settings{};
  settings.on_url = [](http_parser* parser, const char* at, std::size_t size) {
    static_cast<Parsed*>(parser->data)->url.append(at, size);
    return 0;
  };
  settings.on_message_complete = [](http_parser* parser) {
    static_cast<Parsed*>(parser->data)->complete = true;
    return 0;
  };
  http_parser parser{};
  http_parser_init(&parser, HTTP_REQUEST);
  parser.data = &parsed;
  const auto taken = http_parser_execute(&parser, &settings, received.data(), received.size());
  if (parsed.complete) {
    const bool is_head = parser.method == HTTP_HEAD;
    if (parser.method != HTTP_GET && !is_head)
      return response("405 Method Not Allowed", kPlainText, "only GET and HEAD are answered\n");
    if (path_of(parsed.url) != "/metrics")
      return response("404 Not Found", kPlainText, "there is /metrics only\n", !is_head);
    return response("200 OK", kExpositionType, metrics(), !is_head);
  }
  if (taken != received.size() || HTTP_PARSER_ERRNO(&parser) != HPE_OK)
    return response("400 Bad Request", kPlainText, "this is no HTTP request\n");
  return std::nullopt;
}

}  // namespace sheath::agent
