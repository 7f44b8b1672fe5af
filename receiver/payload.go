package receiver

import (
	"encoding/json"
	"errors"
	"mime"
	"net/url"
	"strings"
)

type payloadKind int

const (
	rawPayload payloadKind = iota
	jsonPayload
	formPayload
)

// kindOf says how a content type is to be read. JSON and forms are UTF-8 here: in
// another charset they are raw.
func kindOf(contentType string) payloadKind {
	media, params, err := mime.ParseMediaType(contentType)
	if charset, ok := params["charset"]; err != nil || ok && !strings.EqualFold(charset, "utf-8") {
		return rawPayload
	}
	switch {
	case media == "application/json", strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"):
		return jsonPayload
	case media == "application/x-www-form-urlencoded":
		return formPayload
	default:
		return rawPayload
	}
}

func checkPayload(kind payloadKind, body []byte) error {
	switch kind {
	case jsonPayload:
		if !json.Valid(body) {
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
