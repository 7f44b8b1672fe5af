package payload

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Encode returns data as it is sent: a json.RawMessage and a []byte as they are, to be
// checked, and anything else by Marshal. Either of the two is null if it is nil: that is
// what a NULL column scans into.
func Encode(data any) ([]byte, error) {
	switch data := data.(type) {
	case json.RawMessage:
		return orNull(data), nil
	case []byte:
		return orNull(data), nil
	default:
		return Marshal(data)
	}
}

func orNull(text []byte) []byte {
	if text == nil {
		return []byte("null")
	}
	return text
}

// Marshal is JSON without HTML escapes. A text that is not UTF-8 is an error: encoding/json
// would put U+FFFD in its place. It runs code of the application, which may
// panic.
func Marshal(data any) (text []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while it was encoded: %v", p)
		}
	}()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil {
		return nil, err
	}
	text = bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if err := notUTF8(data, text); err != nil {
		return nil, err
	}
	return text, nil
}
