package payload

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// notUTF8 says which text of data is not UTF-8. encoding/json writes \ufffd for what is
// not, and a text that holds U+FFFD itself as it is: text without the escape holds
// nothing that was replaced, and data is looked through only where there is one.
func notUTF8(data any, text []byte) (err error) {
	if !bytes.Contains(text, []byte(`\ufffd`)) {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while it was looked through: %v", p)
		}
	}()
	path, found := badText(reflect.ValueOf(data))
	switch {
	case !found:
		return nil // it was written by an encoder of the application's own
	case path == "":
		return errors.New("must be valid UTF-8")
	default:
		return fmt.Errorf("must be valid UTF-8: that at %q is not", strings.ToValidUTF8(path[1:], "?"))
	}
}

// badText finds the first text that is not UTF-8 among those that encoding/json writes,
// by the path to it: ".people.0.name".
func badText(v reflect.Value) (path string, found bool) {
	if !v.IsValid() {
		return "", false
	}
	if v.CanInterface() {
		switch own := v.Interface().(type) {
		case json.Marshaler:
			return "", false
		case encoding.TextMarshaler:
			return "", !(v.Kind() == reflect.Pointer && v.IsNil()) && isBad(own)
		}
	}
	switch v.Kind() {
	case reflect.String:
		return "", !utf8.ValidString(v.String())
	case reflect.Interface, reflect.Pointer:
		return badText(v.Elem())
	case reflect.Slice, reflect.Array:
		return badElement(v)
	case reflect.Map:
		return badEntry(v)
	case reflect.Struct:
		return badField(v)
	default:
		return "", false
	}
}

func isBad(own encoding.TextMarshaler) bool {
	text, err := own.MarshalText()
	return err == nil && !utf8.Valid(text)
}

func badElement(v reflect.Value) (path string, found bool) {
	if v.Type().Elem().Kind() == reflect.Uint8 { // bytes are written in base64
		return "", false
	}
	for i := range v.Len() {
		if path, found := badText(v.Index(i)); found {
			return fmt.Sprintf(".%d%s", i, path), true
		}
	}
	return "", false
}

func badEntry(v reflect.Value) (path string, found bool) {
	for entries := v.MapRange(); entries.Next(); {
		for _, part := range []reflect.Value{entries.Key(), entries.Value()} {
			if path, found := badText(part); found {
				return fmt.Sprintf(".%v%s", entries.Key(), path), true
			}
		}
	}
	return "", false
}

func badField(v reflect.Value) (path string, found bool) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() && !field.Anonymous || field.Tag.Get("json") == "-" {
			continue
		}
		if path, found := badText(v.Field(i)); found {
			return nameOf(field) + path, true
		}
	}
	return "", false
}

// nameOf is the part of the path that a field adds; one that is embedded adds none.
func nameOf(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	switch {
	case name != "":
		return "." + name
	case field.Anonymous:
		return ""
	default:
		return "." + field.Name
	}
}
