package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

const (
	maxBytes  = 4 << 20
	maxDepth  = 128
	maxValues = 1 << 17 // aliases count as often as they are used
)

// load reads a text into the nodes of its one document. JSON is read as the YAML
// that it is.
func (r *reader) load(text []byte) *yaml.Node {
	if len(text) > maxBytes {
		r.refuseAtf(place{1, 1}, "", "has %d bytes; at most %d are allowed", len(text), maxBytes)
		return nil
	}
	if at := firstBad(text); at >= 0 {
		r.refuseAtf(placeOf(text, at), "", "must be UTF-8 without NUL")
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(joinSurrogates(text)), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		r.refuseSyntax(err)
		return nil
	}
	var doc, another yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		r.refuseAtf(place{1, 1}, "", "is empty")
		return nil
	case err != nil:
		r.refuseSyntax(err)
		return nil
	}
	switch err := loader.Load(&another); {
	case err == nil:
		r.refuseAtf(place{another.Line, another.Column}, "", "must be one document")
	case !errors.Is(err, io.EOF):
		r.refuseSyntax(err)
	}
	return doc.Content[0]
}

func (r *reader) refuseSyntax(err error) {
	at, why := place{1, 1}, "is neither YAML nor JSON"
	if failed, ok := errors.AsType[*yaml.LoadError](err); ok {
		at = place{max(failed.Mark.Line, 1), max(failed.Mark.Column, 1)}
		why += ": " + failed.Message
		if strings.HasPrefix(failed.Message, "unknown anchor") { // and its name, which may be a secret
			why = `has "*" before what is no anchor; a text that begins with it is put in quotes`
		}
	}
	r.refuseAtf(at, "", "%s", why)
}

// firstBad is the index of the first byte that is not of UTF-8, or is NUL; else -1.
func firstBad(text []byte) int {
	for i := 0; i < len(text); {
		c, size := utf8.DecodeRune(text[i:])
		if c == 0 || c == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

func placeOf(text []byte, at int) place {
	before := text[:at]
	start := bytes.LastIndexByte(before, '\n') + 1
	return place{bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[start:]) + 1}
}

var surrogates = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\.`)

// joinSurrogates writes in YAML's way what JSON escapes as two surrogates (RFC 8259,
// section 7).
func joinSurrogates(text []byte) []byte {
	if !json.Valid(text) {
		return text
	}
	return surrogates.ReplaceAllFunc(text, func(found []byte) []byte {
		if len(found) == 2 { //nolint:mnd // another escape
			return found
		}
		high, _ := strconv.ParseUint(string(found[2:6]), 16, 16)
		low, _ := strconv.ParseUint(string(found[8:]), 16, 16)
		return fmt.Appendf(nil, `\U%08x`, 0x10000+(high-0xd800)<<10+(low-0xdc00))
	})
}
