package delivery

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Body is what was sent or answered, byte for byte. In JSON it is a string where
// it is UTF-8, and otherwise an object {"base64": "..."}.
type Body []byte

type encodedBody struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (b Body) MarshalJSON() ([]byte, error) {
	if utf8.Valid(b) {
		return json.Marshal(string(b))
	}
	return json.Marshal(encodedBody{b})
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *Body) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '{' {
		var encoded encodedBody
		if err := json.Unmarshal(text, &encoded); err != nil {
			return fmt.Errorf("delivery: body: %w", err)
		}
		*b = encoded.Base64
		return nil
	}
	var plain string
	if err := json.Unmarshal(text, &plain); err != nil {
		return fmt.Errorf("delivery: body: %w", err)
	}
	*b = Body(plain)
	return nil
}
