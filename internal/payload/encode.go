package payload

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Encode is data as it is sent: a json.RawMessage and a []byte as they are, to be
// checked, and anything else by Marshal.
func Encode(data any) ([]byte, error) {
	switch data := data.(type) {
	case json.RawMessage:
		return data, nil
	case []byte:
		return data, nil
	default:
		return Marshal(data)
	}
}

// Marshal is JSON without HTML escapes. It runs code of the application, which may
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
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
