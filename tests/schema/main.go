// Prints the JSON schema of the registry's configuration, made from the types of the distribution
// module that images/go.mod pins. `python -m tests.schema` writes it to settings/.
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go/aws/endpoints"
	"github.com/aws/aws-sdk-go/service/s3"
	"github.com/distribution/distribution/v3/configuration"
)

type schema = map[string]any

var (
	text     = schema{"type": "string"}
	boolean  = schema{"type": "boolean"}
	integer  = schema{"type": "integer"}
	count    = schema{"type": "integer", "minimum": 0}
	duration = schema{"type": "string", "format": "duration"}
	origin   = schema{"type": "string", "format": "origin"}
	anything = schema{}
	// chunk is a part of an upload, as S3 takes it: from 5 MiB to 5 GiB.
	chunk = between(5<<20, 5<<30)
)

// Types that read themselves from a text, and what they take. Reflection doesn't see that.
var choices = map[reflect.Type][]string{
	reflect.TypeFor[configuration.Loglevel]():  {"error", "warn", "info", "debug"},
	reflect.TypeFor[configuration.Platforms](): {"all", "none", "list"},
	reflect.TypeFor[configuration.ClientAuth](): {
		configuration.ClientAuthRequestClientCert,
		configuration.ClientAuthRequireAnyClientCert,
		configuration.ClientAuthVerifyClientCertIfGiven,
		configuration.ClientAuthRequireAndVerifyClientCert,
	},
}

// Maps that the types leave open: the names that the drivers and handlers look up in them.
var storage = object(schema{
	"cache":    object(schema{"blobdescriptor": choice("inmemory", "redis"), "blobdescriptorsize": count}),
	"delete":   object(schema{"enabled": boolean}),
	"redirect": required(object(schema{"disable": boolean}), "disable"),
	"tag":      object(schema{"concurrencylimit": count}),
	"maintenance": object(schema{
		"uploadpurging": unlessDisabled(
			object(schema{"enabled": boolean, "age": duration, "interval": duration, "dryrun": boolean}),
			"age", "interval", "dryrun",
		),
		"readonly": object(schema{"enabled": boolean}),
	}),
	"filesystem": object(schema{"rootdirectory": text, "maxthreads": count}),
	"s3": regional(object(schema{
		"accesskey": text, "secretkey": text, "sessiontoken": text, "region": text, "regionendpoint": text,
		"bucket": text, "keyid": text, "rootdirectory": text, "useragent": text,
		"storageclass": choice(storageClasses...), "objectacl": choice(s3.ObjectCannedACL_Values()...),
		"redirectendpoint": origin, "loglevel": choice("off", "debug", "debugwithsigning", "debugwithhttpbody", "debugwithrequestretries", "debugwithrequesterrors", "debugwitheventstreambody"),
		"forcepathstyle": boolean, "encrypt": boolean, "secure": boolean, "skipverify": boolean,
		"v4auth": boolean, "usedualstack": boolean, "accelerate": boolean, "usefipsendpoint": boolean,
		"chunksize": chunk, "multipartcopychunksize": chunk,
		"multipartcopymaxconcurrency": schema{"type": "integer", "minimum": 1},
		"multipartcopythresholdsize":  between(0, 5<<30),
	})),
	"gcs": object(schema{
		"bucket": text, "rootdirectory": text, "useragent": text,
		"chunksize":      schema{"type": "integer", "minimum": 256 << 10, "multipleOf": 256 << 10},
		"maxconcurrency": count, "credentials": mapOf(anything),
	}),
	"azure": object(schema{
		"accountname": text, "accountkey": text, "connectionstring": text, "container": text,
		"realm": text, "rootdirectory": text, "serviceurl": text, "max_retries": count,
		"retry_delay": duration, "skipverify": boolean, "credentials": object(schema{"type": choice("client_secret", "shared_key", "default_credentials"), "clientid": text, "tenantid": text, "secret": text}),
	}),
})

// storageClasses are those that the driver takes of S3's: an archive gives nothing back at once.
var storageClasses = []string{
	"NONE", s3.StorageClassStandard, s3.StorageClassReducedRedundancy, s3.StorageClassStandardIa,
	s3.StorageClassOnezoneIa, s3.StorageClassIntelligentTiering, s3.StorageClassOutposts,
	s3.StorageClassGlacierIr, s3.StorageClassExpressOnezone,
}

// regional has the driver's regions, of which one is needed where no endpoint is named.
func regional(of schema) schema {
	var regions []string
	for _, partition := range endpoints.DefaultPartitions() {
		for region := range partition.Regions() {
			regions = append(regions, region)
		}
	}
	slices.Sort(regions)
	of["if"] = schema{"not": schema{"required": []string{"regionendpoint"}}}
	of["then"] = schema{"properties": schema{"region": choice(regions...)}}
	return of
}

func between(least, most int64) schema {
	return schema{"type": "integer", "minimum": least, "maximum": most}
}

func object(properties schema) schema {
	return schema{"type": "object", "properties": properties, "additionalProperties": false}
}

func required(of schema, names ...string) schema {
	of["required"] = names
	return of
}

// unlessDisabled requires `names` of a map whose `enabled` isn't false.
func unlessDisabled(of schema, names ...string) schema {
	of["if"] = schema{"properties": schema{"enabled": schema{"const": false}}, "required": []string{"enabled"}}
	of["else"] = schema{"required": names}
	return of
}

func mapOf(values schema) schema {
	return schema{"type": "object", "additionalProperties": values}
}

func choice(among ...string) schema {
	return schema{"type": "string", "enum": among}
}

func schemaOf(t reflect.Type) schema {
	if among, ok := choices[t]; ok {
		return choice(among...)
	}
	switch t {
	case reflect.TypeFor[configuration.Storage]():
		return storage
	case reflect.TypeFor[time.Duration]():
		return duration
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Struct:
		properties := schema{}
		addFields(properties, t)
		return object(properties)
	case reflect.Map:
		return mapOf(schemaOf(t.Elem()))
	case reflect.Slice:
		return schema{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.String:
		return text
	case reflect.Bool:
		return boolean
	case reflect.Int:
		return integer
	case reflect.Interface:
		return anything
	}
	panic("no schema for " + t.String())
}

// addFields names fields as the YAML decoder does.
func addFields(properties schema, t reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if options == "inline" {
			addFields(properties, field.Type)
			continue
		}
		if name == "" {
			name = strings.ToLower(field.Name)
		}
		if less, ok := narrower[t.Name()+"."+field.Name]; ok {
			properties[name] = less
		} else {
			properties[name] = schemaOf(field.Type)
		}
	}
}

// Fields of a plain type that take less than it.
var narrower = map[string]schema{
	"Log.Formatter": choice("text", "json", "logstash"),
	"Tags.MaxTags":  count,
}

func main() {
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	if err := out.Encode(schemaOf(reflect.TypeFor[configuration.Configuration]())); err != nil {
		panic(err)
	}
}
