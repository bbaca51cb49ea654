"use strict";
// The words of the pages that mails lead to, in the browser's language. What the service says itself stays as it is.

const words = {
  ko: {
    "Confirm your address": "주소 확인",
    "Press the button to confirm your e-mail address.": "버튼을 누르면 이메일 주소가 확인됩니다.",
    "Confirm": "확인",
    "Your address is confirmed. You can log in now.": "주소가 확인되었습니다. 이제 로그인할 수 있습니다.",
    "Use this address": "이 주소 사용",
    "Press the button to use this e-mail address for your account.": "버튼을 누르면 이 이메일 주소를 계정에 사용합니다.",
    "This is the address of your account now. Log in with it from now on.": "이제 이 주소가 계정의 주소입니다. 앞으로 이 주소로 로그인하세요.",
    "This was not me": "내가 한 일이 아닙니다",
    "Press the button to end every session of your account and to undo what the mail is about.": "버튼을 누르면 계정의 모든 세션을 끝내고 메일이 알린 변경을 되돌립니다.",
    "Every session was ended. Log in again, and choose a new password.": "모든 세션이 끝났습니다. 다시 로그인하여 새 비밀번호를 정하세요.",
    "Choose a new password": "새 비밀번호 정하기",
    "All sessions of your account end with the old password.": "이전 비밀번호와 함께 계정의 모든 세션이 끝납니다.",
    "New password": "새 비밀번호",
    "Code of your second factor, if you have set one up": "2단계 인증 코드 (설정한 경우)",
    "Change the password": "비밀번호 변경",
    "Your password is changed. You can log in with it now.": "비밀번호가 바뀌었습니다. 이제 새 비밀번호로 로그인할 수 있습니다.",
    "Connect again": "다시 연결",
    "A service no longer accepts one of your connections. Connect it again, and its tasks go on.": "한 서비스가 더 이상 연결을 받아들이지 않습니다. 다시 연결하면 작업이 계속됩니다.",
    "E-mail": "이메일",
    "Password": "비밀번호",
    "Or an API key instead of both": "또는 API 키",
    "Code of your second factor": "2단계 인증 코드",
    "The service did not answer. Try again in a moment.": "서비스가 응답하지 않습니다. 잠시 뒤 다시 시도하세요.",
    "This link is not complete. Open it from the mail once more, as a whole.": "링크가 완전하지 않습니다. 메일의 링크 전체를 다시 여세요.",
    "A code was mailed to you.": "코드를 메일로 보냈습니다.",
    "Enter your code, too.": "코드도 입력하세요.",
    "You are not logged in here.": "이 브라우저에서는 로그인되어 있지 않습니다.",
    "This login or key is not accepted.": "이 로그인 또는 키는 받아들여지지 않습니다.",
    "The account you used has no such connection. Log in with another one.": "사용한 계정에는 이 연결이 없습니다. 다른 계정으로 로그인하세요.",
    "{name}: enter what it is to be used with from now on.": "{name}: 앞으로 사용할 값을 입력하세요.",
    "{name} is connected again. You can close this page.": "{name}이(가) 다시 연결되었습니다. 이 페이지를 닫아도 됩니다.",
  },
  ja: {
    "Confirm your address": "アドレスの確認",
    "Press the button to confirm your e-mail address.": "ボタンを押すとメールアドレスが確認されます。",
    "Confirm": "確認",
    "Your address is confirmed. You can log in now.": "アドレスが確認されました。ログインできます。",
    "Use this address": "このアドレスを使う",
    "Press the button to use this e-mail address for your account.": "ボタンを押すと、このメールアドレスをアカウントに使います。",
    "This is the address of your account now. Log in with it from now on.": "これがアカウントのアドレスになりました。今後はこのアドレスでログインしてください。",
    "This was not me": "心当たりがありません",
    "Press the button to end every session of your account and to undo what the mail is about.": "ボタンを押すと、アカウントのすべてのセッションを終了し、メールで知らせた変更を元に戻します。",
    "Every session was ended. Log in again, and choose a new password.": "すべてのセッションを終了しました。ログインし直して、新しいパスワードを決めてください。",
    "Choose a new password": "新しいパスワード",
    "All sessions of your account end with the old password.": "古いパスワードとともに、アカウントのすべてのセッションが終了します。",
    "New password": "新しいパスワード",
    "Code of your second factor, if you have set one up": "二段階認証のコード（設定している場合）",
    "Change the password": "パスワードを変更",
    "Your password is changed. You can log in with it now.": "パスワードを変更しました。新しいパスワードでログインできます。",
    "Connect again": "再接続",
    "A service no longer accepts one of your connections. Connect it again, and its tasks go on.": "あるサービスが接続を受け付けなくなりました。再接続すると、タスクが再開します。",
    "E-mail": "メールアドレス",
    "Password": "パスワード",
    "Or an API key instead of both": "または API キー",
    "Code of your second factor": "二段階認証のコード",
    "The service did not answer. Try again in a moment.": "サービスが応答しません。しばらくしてからもう一度お試しください。",
    "This link is not complete. Open it from the mail once more, as a whole.": "リンクが不完全です。メールのリンク全体をもう一度開いてください。",
    "A code was mailed to you.": "コードをメールで送りました。",
    "Enter your code, too.": "コードも入力してください。",
    "You are not logged in here.": "このブラウザではログインしていません。",
    "This login or key is not accepted.": "このログインまたはキーは受け付けられません。",
    "The account you used has no such connection. Log in with another one.": "使ったアカウントにはこの接続がありません。別のアカウントでログインしてください。",
    "{name}: enter what it is to be used with from now on.": "{name}: 今後使う値を入力してください。",
    "{name} is connected again. You can close this page.": "{name} を再接続しました。このページを閉じてかまいません。",
  },
};

const language = navigator.languages.map((each) => each.slice(0, 2)).find((each) => each === "en" || words[each]) || "en";

const inWords = (text, name = "") => ((words[language] || {})[text] || text).replace("{name}", name);

if (language !== "en") {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    if (text) walker.currentNode.textContent = walker.currentNode.textContent.replace(text, () => inWords(text));
  }
  document.documentElement.lang = language;
  document.title = `Taske on Ray: ${document.querySelector("h1").textContent}`;
}
