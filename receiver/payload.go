package receiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/url"
	"strings"
	"unicode/utf8"
)

type payloadKind int

const (
	rawPayload payloadKind = iota
	jsonPayload
	formPayload
)

// byteOrderMark is the one of UTF-8, which those who read JSON may ignore
// (RFC 8259, section 8.1).
var byteOrderMark = []byte("\xef\xbb\xbf")

// withoutMark is the JSON in a body.
func withoutMark(body []byte) []byte { return bytes.TrimPrefix(body, byteOrderMark) }

// kindOf says how a content type is to be read. JSON has no parameters, and what is there in
// spite of that has no effect (RFC 8259, section 11). The values of a form are of the charset
// that it names, and only those in UTF-8 are read.
func kindOf(contentType string) payloadKind {
	media, _, _ := strings.Cut(contentType, ";")
	switch media = strings.ToLower(strings.TrimSpace(media)); {
	case media == "application/json", strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"):
		return jsonPayload
	case media == "application/x-www-form-urlencoded" && inUTF8(contentType):
		return formPayload
	default:
		return rawPayload
	}
}

// inUTF8 says whether a content type names UTF-8 or a part of it as its charset, or none.
func inUTF8(contentType string) bool {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return false
	}
	switch strings.ToLower(params["charset"]) {
	case "", "ascii", "us-ascii", "utf-8", "utf8":
		return true
	default:
		return false
	}
}

// errCharset says that a body really is in the charset that its content type names, not in UTF-8.
var errCharset = errors.New("the body is not in UTF-8")

func checkPayload(contentType string, body []byte) error {
	switch kindOf(contentType) {
	case jsonPayload:
		if !inUTF8(contentType) && !utf8.Valid(body) {
			return errCharset
		}
		if !json.Valid(withoutMark(body)) {
			return errors.New("the body is not JSON")
		}
	case formPayload:
		if _, err := url.ParseQuery(string(body)); err != nil {
			return errors.New("the body is not a form")
		}
	case rawPayload:
	}
	return nil
}
