package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// leaf is a value as it was written, with what wrote it. Values stay text until
// their field reads them: so "0123" and 1e3 keep their spelling, and a file, a
// variable and a flag are read by the same code. Its members are exported
// because koanf copies exported members only.
type leaf struct {
	Text string
	From string // see KeyError.From
}

// broken stands for a value of the wrong shape, which was reported already:
// nothing else is to be said about its key.
type broken struct{}

// schema is the shape of a part of the configuration: a mapping where it has
// names, a list where it has an element, else one value.
type schema struct {
	names   []string
	members map[string]*schema
	element *schema
}

// add puts a key of dotted names into a mapping.
func (s *schema) add(key string, member *schema) {
	name, rest, nested := strings.Cut(key, ".")
	if s.members == nil {
		s.members = map[string]*schema{}
	}
	at := s.members[name]
	if at == nil {
		at = member
		if nested {
			at = &schema{}
		}
		s.names, s.members[name] = append(s.names, name), at
	}
	if nested {
		at.add(rest, member)
	}
}

func schemaOf[T any](fields []field[T]) *schema {
	s := &schema{}
	for _, f := range fields {
		s.add(f.key, &schema{})
	}
	return s
}

var rootSchema = func() *schema {
	s := schemaOf(fields)
	s.add(keySchedule, &schema{element: schemaOf(stepFields)})
	s.add(keyAccounts, &schema{element: schemaOf(accountFields)})
	return s
}()

// Bounds on the work that aliases and merges can ask for: values read in all,
// and merges within merges; and on what is said of a file that is none of ours.
const (
	maxNodes  = 100_000
	maxMerges = 16
	maxFaults = 100 // of one text
)

// yamlReader turns YAML into maps, lists and leaves of a schema's shape. It
// walks the nodes itself, since decoding into maps would lose the spelling of
// values, their lines, and quote values in errors.
type yamlReader struct {
	from   string
	lines  bool
	nodes  int
	merges int
	errs   []error
}

// readYAML reads one document that must have the shape of s. Empty text gives
// nil. What is sound is returned beside the errors.
func readYAML(text []byte, key, from string, lines bool, s *schema) (any, []error) {
	r := &yamlReader{from: from, lines: lines}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return broken{}, []error{&KeyError{Key: key, Problem: "not valid YAML: " + harmless(err), From: from}}
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return broken{}, []error{&KeyError{Key: key, Problem: "must be one YAML document, and more follows the first", From: from}}
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	path := key
	if s == rootSchema {
		path = ""
	}
	value := r.read(document.Content[0], path, s)
	return value, r.errs
}

// quoted is what a YAML error repeats of the text, apart from punctuation.
var quoted = regexp.MustCompile("['\"`][^'\"`]*[[:alnum:]][^'\"`]*['\"`]")

// harmless is the message of a YAML error without anything that it quotes,
// since that can be part of a secret.
func harmless(err error) string {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.Contains(message, "unknown anchor") {
		return "unknown anchor; a text that begins with * must be quoted"
	}
	if strings.ContainsRune(message, '\n') || quoted.MatchString(message) {
		return "it cannot be read"
	}
	return message
}

func (r *yamlReader) fail(n *yaml.Node, key, format string, args ...any) broken {
	if r.full() {
		return broken{}
	}
	if key == "" {
		key = "config"
	}
	r.errs = append(r.errs, &KeyError{Key: key, Problem: fmt.Sprintf(format, args...), From: r.at(n)})
	return broken{}
}

// full reports that no further fault is kept. The last one that is says so.
func (r *yamlReader) full() bool {
	if len(r.errs) == maxFaults {
		r.errs = append(r.errs, &KeyError{Key: "config", Problem: "has more faults than these", From: r.from})
	}
	return len(r.errs) > maxFaults
}

// at says where a node stands. Lines are left out for a variable, which has one.
func (r *yamlReader) at(n *yaml.Node) string {
	if !r.lines {
		return r.from
	}
	return fmt.Sprintf("%s, line %d", r.from, n.Line)
}

// read gives nil for what is left empty, so that a lower layer's value holds.
func (r *yamlReader) read(n *yaml.Node, key string, s *schema) any {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if r.nodes++; r.nodes > maxNodes {
		if r.nodes == maxNodes+1 {
			r.fail(n, key, "too large")
		}
		return broken{}
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return r.fail(n, key, "must not have a YAML tag; a text that begins with ! must be quoted")
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return nil
	}
	switch {
	case s.members != nil:
		if n.Kind != yaml.MappingNode {
			return r.fail(n, key, "must hold keys: %s", strings.Join(s.names, ", "))
		}
		return r.mapping(n, key, s)
	case s.element != nil:
		if n.Kind != yaml.SequenceNode {
			return r.fail(n, key, "must be a list")
		}
		list := make([]any, 0, len(n.Content))
		for i, item := range n.Content {
			if r.nodes > maxNodes {
				break // it was reported
			}
			at := fmt.Sprintf("%s[%d]", key, i)
			value := r.read(item, at, s.element)
			if value == nil {
				value = r.fail(item, at, "must not be empty")
			}
			list = append(list, value)
		}
		return list
	default:
		if n.Kind != yaml.ScalarNode {
			return r.fail(n, key, "must be one value, not a list and not a mapping")
		}
		return leaf{Text: n.Value, From: r.at(n)}
	}
}

func (r *yamlReader) mapping(n *yaml.Node, key string, s *schema) any {
	out := map[string]any{}
	lines := map[string]int{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.ShortTag() == "!!merge" {
			merged = append(merged, value)
			continue
		}
		member := s.members[name.Value]
		if name.Kind != yaml.ScalarNode || member == nil {
			r.unknown(name, value, key, s)
			continue
		}
		at := join(key, name.Value)
		if line, twice := lines[name.Value]; twice {
			r.fail(name, at, "is given twice, first in line %d: remove one", line)
			continue
		}
		lines[name.Value] = name.Line
		if v := r.read(value, at, member); v != nil {
			out[name.Value] = v
		}
	}
	// What a mapping says itself goes before what it merges in, and what is
	// merged first before what is merged later, as YAML has it.
	for _, value := range merged {
		for _, source := range mergeSources(value) {
			if r.nodes++; r.nodes > maxNodes || source.Kind != yaml.MappingNode {
				return r.fail(source, join(key, "<<"), "must be a mapping, or a list of mappings")
			}
			if r.merges == maxMerges {
				return r.fail(source, join(key, "<<"), "merges too deep, or a mapping into itself")
			}
			r.merges++
			more, ok := r.mapping(source, key, s).(map[string]any)
			r.merges--
			if !ok {
				return broken{}
			}
			for name, v := range more {
				if _, own := lines[name]; !own {
					lines[name], out[name] = source.Line, v
				}
			}
		}
	}
	return out
}

func mergeSources(value *yaml.Node) []*yaml.Node {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	if value.Kind != yaml.SequenceNode {
		return []*yaml.Node{value}
	}
	sources := make([]*yaml.Node, 0, len(value.Content))
	for _, item := range value.Content {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		sources = append(sources, item)
	}
	return sources
}

// unknown reports a key that the schema does not have. A key without a value is
// named only where it is near to a known one: it is mostly the rest of an
// unquoted text with a comma in it, and that text may be a secret.
func (r *yamlReader) unknown(name, value *yaml.Node, key string, s *schema) {
	if r.full() {
		return
	}
	near := didYouMean(name.Value, s.names)
	if name.Kind != yaml.ScalarNode || (near == "" && value.ShortTag() == "!!null") {
		r.fail(name, key, "holds an unknown key without a value; a text with a comma in it must be quoted")
		return
	}
	r.fail(name, join(key, name.Value), "unknown key%s", near)
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
