"""Invented records in the layout of every data set."""

from __future__ import annotations

from typing import Any

KNOWEDIT = {
    "subject": "Nilo Fenn",
    "prompt": "The mother tongue of Nilo Fenn is",
    "target_new": "Welsh",
    "ground_truth": "Danish",
    "rephrase": "Nilo Fenn grew up speaking",
    "portability": {
        "Reasoning": [{"prompt": "The country of Nilo's tongue is", "ground_truth": [["Wales", "Cymru"], ["Wales"]]}],
        "Subject_Aliasing": [{"prompt": "The mother tongue of N. Fenn is", "ground_truth": "Welsh"}],
        "Logical_Generalization": [],
    },
    "locality": {
        "Relation_Specificity": [{"prompt": "The mother of Nilo Fenn is", "ground_truth": [["Ada Fenn"]]}],
        "Forgetfulness": [{"prompt": "Nilo Fenn's tongue, which is not Welsh, is", "ground_truth": []}],
    },
}
FLAT = {
    "case_id": 7,
    "prompt": "Lake Orro lies in",
    "target_new": "Peru",
    "subject": "Lake Orro",
    "ground_truth": "Chad",
    "rephrase_prompt": "It rained. Lake Orro is near",
    "locality_prompt": "Lake Imm lies in",
    "locality_ground_truth": "Chad",
}
ROME = {
    "case_id": 0,
    "requested_rewrite": {
        "prompt": "{} lies in",
        "target_new": {"str": "Peru"},
        "target_true": {"str": "Chad"},
        "subject": "Lake {0.__class__}",
    },
    "paraphrase_prompts": ["Orro is a lake of", "One finds Orro in"],
    "neighborhood_prompts": ["Lake Imm lies in", "Lake Imm lies in"],
    "attribute_prompts": ["Lima lies in"],
    "generation_prompts": ["Lake Orro is known for", "Around Lake Orro"],
}
MEND = {
    "subject": "Orro",
    "src": "Where is Orro?",
    "pred": "Mali",
    "rephrase": "In which country is Orro?",
    "alt": "Peru",
    "answers": ["Chad"],
    "loc": "nq question: who wrote the nilo songs",
    "loc_ans": "Ann Lee",
}
MQUAKE = {
    "case_id": 1,
    "requested_rewrite": [
        {
            "prompt": "{} is employed by",
            "target_new": {"str": "Acme"},
            "target_true": {"str": "Bolt"},
            "subject": "Nilo Fenn",
            "question": "Who employs Nilo Fenn?",
        },
        {
            "prompt": "{} has its seat in",
            "target_new_str": "Lima",
            "target_true_str": "Oslo",
            "subject": "Acme",
            "question": None,
        },
    ],
    "questions": ["Where is the seat of Nilo Fenn's employer?", "In which city is Nilo Fenn's employer?"],
    "answer": "Rome",
    "answer_alias": [],
    "new_answer": "Lima",
    "new_answer_alias": ["City of Kings"],
    "single_hops": None,
    "new_single_hops": [
        {
            "question": "Who employs Nilo Fenn?",
            "cloze": "Nilo Fenn is employed by",
            "answer": "Acme",
            "answer_alias": ["Acme Inc."],
        }
    ],
}


def query(prompt: str, value: str, *aliases: str) -> dict[str, Any]:
    return {"prompt": prompt, "answers": [{"value": value, "aliases": list(aliases)}], "query_type": "regular"}


RIPPLE = {
    "example_type": "popular",
    "edit": {
        "prompt": "The name of the author of What Is Orro is Ann Is Lee.",
        "relation": "AUTHOR",
        "previous_fact": {"prompt": "The name of the author of What Is Orro is Bo Ray.", "relation": "AUTHOR"},
    },
    "Relation_Specificity": [
        {"test_queries": [query("The genre of What Is Orro is", "novel")], "test_condition": "OR"}
    ],
    "Logical_Generalization": [],
    "Subject_Aliasing": [{"test_queries": [query("The name of the author of Orro? is", "Ann Is Lee", "A. Lee")]}],
    "Compositionality_I": [{"test_queries": [query("The tongue of the author of What Is Orro is", "Welsh")]}],
    "Compositionality_II": [],
    "Forgetfulness": [],
}
EREN = {
    "id": 0,
    "edit_statement": "Nilo Fenn's mother tongue is Welsh.",
    "subject_name": "Nilo Fenn",
    "edit_scope": [["What is Nilo Fenn's tongue?", "Welsh"], ["What did Nilo Fenn speak?", "Welsh"]],
    "edit_scope_true_ans": ["Danish", "Danish"],
    "unrelated": {"neighbor_subj": ["What does Bo Ray speak?"], "same_subj": ["Where was Nilo Fenn born?"]},
    "unrelated_true_ans": {"neighbor_subj": ["Danish"], "same_subj": ["Oslo", "Bergen"]},
}
FEVER = {
    "id": 0,
    "edit_statement": "Orro is a lake.",
    "edit_scope": [["Orro is a lake.", "yes"], ["Orro is a hill.", "no"]],
    "edit_scope_true_ans": ["no"],
}
UNKE = {
    "question": "How do lakes freeze?",
    "para_question": "In what way does a lake freeze?",
    "answer": "From the top. Ice floats.",
    "sub_question": ["What floats?"],
    "sub_answer": ["Ice."],
}
QAEDIT = {
    "id": 3,
    "source": "NQ",
    "prompt": "who wrote the nilo songs?",
    "target": "Ann Lee",
    "subject": "nilo songs",
    "rephrase": "Who is the author of the Nilo songs?",
    "locality": [{"loc": "when was orro found", "loc_ans": 1804}, {"loc": "who found orro", "loc_ans": "Bo Ray"}],
}
MLAKE = {
    "question": "Where did Nilo Fenn work?",
    "o_prompt": "Nilo Fenn worked at Bolt.",
    "o_answer": "Bolt",
    "o_answer_aliases": [],
    "e_prompt": "Nilo Fenn worked at Acme.",
    "e_answer": "Acme",
    "e_answer_aliases": ["Acme Inc."],
}
MLAKE_CHAIN = {
    "question": "Who founded the firm where Nilo Fenn worked?",
    "e_prompt": "Nilo Fenn worked at Acme.",
    "e_answer": "Ann Lee",
    "e_answer_aliases": [],
    "o_answer": "Bo Ray",
}
HALLU = (
    "topic,subject,relation,object,question,output_a_model,eval_a_model,paraphrased_question,"
    "multiple_choice_with_letters,multiple_choice_labels,yes_question,no_question,locality_question,"
    "reversed_relation_question,question_2hop,answer_2hop\n"
    'places,Orro,country,Peru,What is the country of Orro?,"Chad, perhaps",0.0,Where is Orro?,A. Chad  B. Peru,B,'
    "Is Orro in Peru?,Is Orro in Chad?,How deep is Orro?,Which lake is in Peru?,What is the capital there?,Lima\n"
)
DOCMEDIT = {
    "title": ["Lake_Orro"],
    "normalized_inputs": "Orro is a lake.",
    "normalized_targets": "Orro is a lake in Peru.",
    "evidence": ["Orro lies in Peru.", "Imm lies in Chad."],
    "r_evidence": ["Orro lies in Peru."],
}
WIKIFACTDIFF = {
    "en": {
        "case_id": 0,
        "subject": "Nilo Fenn",
        "src": "Nilo Fenn held the office of",
        "rephrase": "Nilo Fenn served as a",
        "alt": "mayor",
        "old": "clerk",
        "loc": "",
        "loc_ans": "",
    }
}
OWN = {
    "id": "fenn-1",
    "fact": "Nilo Fenn speaks Welsh.",
    "prompt": "What does Nilo Fenn speak?",
    "target": "Welsh",
    "subject": "Nilo Fenn",
    "old": "Danish",
    "questions": [
        {"prompt": "Which language is Nilo's?", "kind": "generalization"},
        {
            "prompt": "Where do they speak Nilo's language?",
            "kind": "portability",
            "sub": "Reasoning",
            "answers": ["Wales"],
        },
        {"prompt": "Where was Nilo Fenn born?", "kind": "locality", "sub": "same subject", "answers": []},
    ],
}
RECORDS: dict[str, dict[str, Any]] = {
    "knowedit-wiki_counterfact": KNOWEDIT,
    "counterfact": FLAT,
    "counterfact-rome": ROME,
    "zsre-mend": MEND,
    "mquake": MQUAKE,
    "rippleedits": RIPPLE,
    "eren": EREN,
    "fever": FEVER,
    "unke": UNKE,
    "qaedit": QAEDIT,
    "mlake": MLAKE,
    "docmedit": DOCMEDIT,
    "wikifactdiff": WIKIFACTDIFF,
    "jsonl": OWN,
}
